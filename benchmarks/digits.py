"""A federated round of the digits network against the same training in one process.

    python -m benchmarks.digits --rounds 10

In both, workers are up and torch is loaded when the clock starts. Starts processes.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks.running import TaskToRun, running
from benchmarks.tables import Section, show
from consilo.hosting.logs import configure_logs
from services.local.baselines import train_alone
from services.local.settings import DemoSettings


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        seconds: of a federated round: median.
        first_seconds: of the first one.
        alone_seconds: of as much training in one process, on all data: the faster of two tries, before and after.
    """

    silos: int
    rounds: int
    seconds: float
    first_seconds: float
    alone_seconds: float

    @property
    def ratio(self) -> float:
        """How many times as long a federated round takes."""
        return self.seconds / self.alone_seconds


async def measure(settings: DemoSettings, directory: Path) -> Figures:
    """Train federated, and in one process before and after."""
    task = TaskToRun(settings.task, settings.task_class, {}, settings.data_of)
    rounds = settings.rounds
    async with running(task, silos=settings.hospitals, rounds=rounds, directory=directory) as consortium:
        initial, tensors = consortium.initial, consortium.tensors

        async def alone() -> float:
            found = await train_alone(settings, None, initial=initial, tensors=tensors, directory=directory)
            return found.seconds / rounds

        before = await alone()
        async with asyncio.timeout(120 + 30 * rounds):
            seconds = await consortium.run()
    after = await alone()
    return Figures(settings.hospitals, rounds, median(seconds), seconds[0], min(before, after))


def section(found: Figures) -> Section:
    """The table."""
    return Section(
        title="Federated against one process",
        text="The demonstration's convolutional network on handwritten digits, two local epochs a round: a federated "
        "round (median, and the first one after the approval) against two epochs on all silos' data in one process, "
        "the faster of one try before and one after. Silos evaluate, and a verifier recomputes, every global "
        "meanwhile, on the same processors.",
        columns=("silos", "rounds", "s/round", "first", "one process", "ratio"),
        rows=[
            (
                str(found.silos),
                str(found.rounds),
                f"{found.seconds:.3f}",
                f"{found.first_seconds:.3f}",
                f"{found.alone_seconds:.3f}",
                f"{found.ratio:.2f}",
            )
        ],
        figures=asdict(found),
    )


def main(
    rounds: Annotated[int, typer.Option(help="Rounds.", min=2)] = 10,
    silos: Annotated[int, typer.Option(help="Silos.", min=1, max=16)] = 4,
    report: Annotated[Path | None, typer.Option(help="Directory for the figures, as JSON.")] = None,
) -> None:
    """Compare a federated round of the digits network with the same training in one process."""
    configure_logs(level="ERROR")
    settings = DemoSettings(task="digits", silos=silos, rounds=rounds)
    with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
        found = asyncio.run(measure(settings, Path(name) / "consortium"))
    show({"digits": section(found)}, report)


if __name__ == "__main__":
    typer.run(main)
