"""Seconds per round and memory of each process, with real services and training that costs nothing.

    python -m benchmarks.rounds --case 1x2 --case 100x2 --rounds 8

Each figure stands beside the floor: the same bytes moved by plain sockets and files in the same session.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer

from benchmarks.fabric import fabric_section
from benchmarks.floor import floor_seconds
from benchmarks.memory import memory_of
from benchmarks.running import TaskToRun, running
from benchmarks.tables import Section, show
from consilo.hosting.logs import configure_logs
from services.local.foundations import LedgerKind
from services.local.stores import StoreKind

WARM_UP_ROUNDS: Final = 2
FLOOR_TRIES: Final = 3


@dataclass(frozen=True)
class Figures:
    """One row of the table.

    Attributes:
        seconds: median seconds from the opening of a round to its global model.
        floor: seconds to move the same bytes by plain sockets and files.
        peak_megabytes: peak resident memory by process.
    """

    megabytes: int
    silos: int
    rounds: int
    seconds: float
    slowest: float
    floor: float
    peak_megabytes: dict[str, float]


def noop(megabytes: int) -> TaskToRun:
    """A training that costs nothing, with a model of this size."""
    return TaskToRun(
        "noop",
        "benchmarks.noop:Noop",
        {"megabytes": megabytes},
        data_of=lambda index: {"silo": index},
        evaluate=False,
    )


async def measure(
    megabytes: int, silos: int, rounds: int, directory: Path, store: StoreKind, ledger: LedgerKind
) -> Figures:
    """Run rounds with real services, and measure."""
    used: dict[str, float] = {}
    total = rounds + WARM_UP_ROUNDS
    async with running(
        noop(megabytes), silos=silos, rounds=total, directory=directory, ledger=ledger, store=store
    ) as consortium:
        async with asyncio.timeout(120 + 10 * silos + total * (5 + megabytes * silos / 20)):
            seconds = await consortium.run(lambda _: used.update(memory_of(consortium.services)))
        artifact_bytes = consortium.tensors.artifact_bytes
    floor = min(floor_seconds(artifact_bytes, silos, verifier=True) for _ in range(FLOOR_TRIES))
    counted = seconds[WARM_UP_ROUNDS:]
    return Figures(megabytes, silos, rounds, median(counted), max(counted), floor, used)


COLUMNS: Final = (
    "model",
    "silos",
    "s/round",
    "slowest",
    "floor",
    "ratio",
    "aggregator",
    "verifier",
    "ledger",
    "store",
    "silo",
    "worker",
)
"""Seconds, then the peak resident memory in MB: of each process, of the largest where there are several."""


def cells(row: Figures) -> tuple[str, ...]:
    """One row of the table."""

    def largest(chosen: Callable[[str], bool]) -> str:
        return f"{max((peak for name, peak in row.peak_megabytes.items() if chosen(name)), default=0):.0f}"

    def services(kind: str) -> str:
        return largest(lambda name: name.split("-")[0] == kind and not name.endswith(" worker"))

    return (
        f"{row.megabytes} MB",
        str(row.silos),
        f"{row.seconds:.3f}",
        f"{row.slowest:.3f}",
        f"{row.floor:.3f}",
        f"{row.seconds / row.floor:.1f}",
        *map(services, ("aggregator", "verifier", "ledger", "store", "silo")),
        largest(lambda name: name.endswith(" worker")),
    )


def section(rows: list[Figures], ledger: LedgerKind) -> Section:
    """The table."""
    place = "" if ledger == "embedded" else ", on Fabric"
    return Section(
        title=f"A round without training{place}",
        text="Real services as processes on one machine, and training that costs nothing (each silo returns weights of "
        "its own, made once). A round goes from its opening to its global model; a verifier recomputes every global "
        "meanwhile. Seconds are medians; the floor is the same bytes moved by plain sockets and files, without "
        "digests, ledger or processes. Memory is the peak resident memory of each process in MB: of the largest where "
        "there are several of a kind, and of the largest training worker beside a silo.",
        columns=COLUMNS,
        rows=[cells(row) for row in rows],
        figures=[asdict(row) for row in rows],
    )


def parse_case(text: str) -> tuple[int, int]:
    """Megabytes and silos of a case such as `100x2`."""
    megabytes, separator, silos = text.partition("x")
    if not (separator and megabytes.isdecimal() and silos.isdecimal() and int(megabytes) and int(silos)):
        raise typer.BadParameter(f"{text!r} is not MEGABYTESxSILOS, e.g. 100x2")
    return int(megabytes), int(silos)


def main(
    case: Annotated[list[str], typer.Option(help="MEGABYTESxSILOS; may be given several times.")] = ["1x2", "100x2"],  # noqa: B006 - typer's way
    rounds: Annotated[int, typer.Option(help="Rounds that are counted.", min=1)] = 8,
    ledger: Annotated[
        LedgerKind, typer.Option(help="Kind of the ledger; fabric needs Fabric's binaries.")
    ] = "embedded",
    store: Annotated[StoreKind, typer.Option(help="Object store: local, or s3 (versitygw on PATH).")] = "local",
    report: Annotated[Path | None, typer.Option(help="Directory for the figures, as JSON.")] = None,
) -> None:
    """Measure seconds per round and memory with real services and training that costs nothing.

    A case keeps every model of all its rounds on disk until it ends: (rounds + 2) x (silos + 1) x megabytes. On Fabric
    there is a second table, of what the ledger adds and of what its own processes use.
    """
    configure_logs(level="ERROR")

    def one(megabytes: int, silos: int, kind: LedgerKind) -> Figures:
        with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
            return asyncio.run(measure(megabytes, silos, rounds, Path(name), store, kind))

    rows = [one(*parse_case(text), ledger) for text in case]
    sections = {f"rounds-{ledger}": section(rows, ledger)}
    if ledger == "fabric":
        embedded = one(1, 2, "embedded")
        fabric = next((row for row in rows if (row.megabytes, row.silos) == (1, 2)), None) or one(1, 2, "fabric")
        sections["fabric"] = asyncio.run(fabric_section(fabric.seconds, embedded.seconds))
    show(sections, report)


if __name__ == "__main__":
    typer.run(main)
