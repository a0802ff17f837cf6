"""Whether a long run slows down or grows: hundreds of rounds of a small task that needs no torch.

    python -m benchmarks.long_run --rounds 300

Starts processes.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer

from benchmarks.memory import memory_of
from benchmarks.running import TaskToRun, running
from benchmarks.tables import Section, show
from consilo.api.models import CommittedEvent
from consilo.hosting.logs import configure_logs
from services.local.settings import DemoSettings

WINDOW_ROUNDS: Final = 30


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        window: rounds at either end whose median is taken.
        first_seconds: per round at the start.
        last_seconds: per round at the end.
        megabytes: resident memory by process: after the first window, and after the last round but one.
    """

    silos: int
    rounds: int
    window: int
    first_seconds: float
    last_seconds: float
    megabytes: dict[str, tuple[float, float]]


async def measure(settings: DemoSettings, directory: Path) -> Figures:
    """Run all rounds."""
    task = TaskToRun(settings.task, settings.task_class, {}, settings.data_of)
    rounds, window = settings.rounds, min(WINDOW_ROUNDS, settings.rounds // 3)
    early: dict[str, float] = {}
    late: dict[str, float] = {}

    async with running(task, silos=settings.hospitals, rounds=rounds, directory=directory) as consortium:

        def seen(event: CommittedEvent) -> None:
            if event.event.type == "publish_global" and event.event.round == window:
                early.update(memory_of(consortium.services, "now"))
            if event.event.type == "publish_global" and event.event.round == rounds - 1:
                late.update(memory_of(consortium.services, "now"))

        async with asyncio.timeout(120 + 10 * rounds):
            seconds = await consortium.run(seen)
    megabytes = {name: (early[name], late[name]) for name in early if name in late}
    first, last = seconds[1 : window + 1], seconds[-window:]
    return Figures(settings.hospitals, rounds, window, median(first), median(last), megabytes)


def section(found: Figures) -> Section:
    """The table: seconds, then the memory of each process."""
    rows: list[tuple[str, ...]] = [
        ("seconds per round", f"{found.first_seconds:.3f}", f"{found.last_seconds:.3f}"),
        *(
            (f"memory of {name}", f"{early:.0f} MB", f"{late:.0f} MB")
            for name, (early, late) in found.megabytes.items()
        ),
    ]
    return Section(
        title=f"{found.rounds} rounds",
        text=f"A linear model on handwritten digits, {found.silos} silos that train and evaluate, and a verifier. "
        f"Seconds are medians of {found.window} rounds (the very first one is left out); memory is the resident memory "
        f"of each process after {found.window} rounds and at the end.",
        columns=("", f"first {found.window}", f"last {found.window}"),
        rows=rows,
        left=1,
        figures=asdict(found),
    )


def main(
    rounds: Annotated[int, typer.Option(help="Rounds.", min=6, max=1000)] = 300,
    silos: Annotated[int, typer.Option(help="Silos.", min=1, max=16)] = 4,
    report: Annotated[Path | None, typer.Option(help="Directory for the figures, as JSON.")] = None,
) -> None:
    """See whether a long run slows down, or its processes grow."""
    configure_logs(level="ERROR")
    settings = DemoSettings(task="digits_linear", silos=silos, rounds=rounds)
    with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
        found = asyncio.run(measure(settings, Path(name) / "consortium"))
    show({"long-run": section(found)}, report)


if __name__ == "__main__":
    typer.run(main)
