"""Seconds per round and memory of each process, with real services and training that costs nothing.

    python -m benchmarks.rounds --case 1x2 --case 100x2 --rounds 8

Each figure stands beside the floor: the same bytes moved by plain sockets and files in the same session.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.floor import floor_seconds
from consilo.api.party import Party
from consilo.api.watch import watch
from consilo.hosting.logs import configure_logs
from consilo.protocol.specification import TaskReference
from consilo.training.worker_handle import TrainingWorker
from services.local.processes import Services
from services.local.stores import StoreKind
from services.local.system import propose, specification, start_ledger, start_members

RUN = "bench"
TASK = "benchmarks.noop:Noop"
WARM_UP_ROUNDS = 2
FLOOR_TRIES = 3


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


def peak_megabytes(pid: int) -> float:
    """Peak resident memory of a process, in megabytes (10**6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def children(pid: int) -> list[int]:
    """Ids of a process's children."""
    result: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # of a thread that has ended meanwhile
            result += map(int, path.read_text().split())
    return result


def note_peaks(services: Services, used: dict[str, float]) -> None:
    """Add the peak memory of every service, and of the workers under them, to what was seen before."""
    for name, service in services.running.items():
        if service.pid is None:
            continue
        used[name] = peak_megabytes(service.pid)
        for child in children(service.pid):
            used[f"{name} worker"] = peak_megabytes(child)


async def measure(megabytes: int, silos: int, rounds: int, directory: Path, store: StoreKind) -> Figures:
    """Run rounds with real services, and measure."""
    (directory / "logs").mkdir(parents=True)
    services = Services(directory / "logs", 60.0 + 5 * silos)
    used: dict[str, float] = {}
    try:
        system = await start_ledger(silos, directory, services, store=store)
        initial = directory / "initial.safetensors"
        async with TrainingWorker(name="initial") as worker:
            loaded = await worker.load(TASK, parameters={"megabytes": megabytes}, data=None)
            made = await worker.initial_state(0, initial)
        await start_members(
            system,
            directory,
            tasks={f"noop@{loaded.version}": TASK},
            data_of=lambda index: {"silo": index},
            evaluate=False,
        )
        auditor = system.first.member("viewer", "auditor")
        async with Party(system.first.operator, system.gateway) as party:
            artifact = await party.data_put(RUN, initial)
        task = TaskReference(name="noop", version=loaded.version, parameters={"megabytes": megabytes})
        total = rounds + WARM_UP_ROUNDS
        agreed = specification(system, task=task, tensors=made.tensors, initial=artifact, rounds=total)
        async with Party(auditor, system.gateway) as party:
            async with asyncio.timeout(120 + 10 * silos + total * (5 + megabytes * silos / 20)):
                async for event in watch(party, RUN):
                    if event is None:  # from here on nothing is missed
                        await propose(system, RUN, agreed)
                        continue
                    if event.event.effects:
                        note_peaks(services, used)
                    if "run-finished" in event.event.effects:
                        break
            seconds = []
            for number in range(WARM_UP_ROUNDS, total):
                summary = await party.gateway.round(RUN, number)
                assert summary.model is not None
                seconds.append((summary.model.published_at - summary.opening.opened_at) / 1000)
    finally:
        await services.stop()
    floor = min(floor_seconds(made.tensors.artifact_bytes, silos, verifier=True) for _ in range(FLOOR_TRIES))
    return Figures(megabytes, silos, rounds, median(seconds), max(seconds), floor, used)


COLUMNS = (
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
"""Of the table: seconds, then the peak resident memory of each process in MB (of the largest silo and worker)."""


def cells(row: Figures) -> tuple[str, ...]:
    """One row of the table."""

    def largest(chosen: Callable[[str], bool]) -> str:
        return f"{max((peak for name, peak in row.peak_megabytes.items() if chosen(name)), default=0):.0f}"

    return (
        f"{row.megabytes} MB",
        str(row.silos),
        f"{row.seconds:.3f}",
        f"{row.slowest:.3f}",
        f"{row.floor:.3f}",
        f"{row.seconds / row.floor:.1f}",
        *(largest(name.__eq__) for name in ("aggregator", "verifier", "ledger", "store")),
        largest(lambda name: name.startswith("silo-") and not name.endswith(" worker")),
        largest(lambda name: name.endswith(" worker")),
    )


def table(rows: list[Figures]) -> Table:
    """The figures for people."""
    result = Table(title="A round without training", caption="seconds: median; memory: peak resident, in MB")
    for column in COLUMNS:
        result.add_column(column, justify="right")
    for row in rows:
        result.add_row(*cells(row))
    return result


PAGE = """# What a round costs

Made by `make bench-docs`: real services as processes on one machine, and training that costs nothing (each silo returns
weights of its own, made once). A round goes from its opening to its global model; a verifier recomputes every global
meanwhile. Seconds are medians; the floor is the same bytes moved by plain sockets and files, without digests, ledger or
processes. Memory is the peak resident memory of each process in MB (of the largest silo, and of the largest training
worker beside it).

"""


def markdown(rows: list[Figures]) -> str:
    """The figures as a page of Markdown."""
    lines = [COLUMNS, ("---:",) * len(COLUMNS), *(cells(row) for row in rows)]
    table_text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{PAGE}{os.cpu_count()} processors, Python {platform.python_version()}.\n\n{table_text}"


def parse_case(text: str) -> tuple[int, int]:
    """Megabytes and silos of a case such as `100x2`."""
    megabytes, separator, silos = text.partition("x")
    if not (separator and megabytes.isdecimal() and silos.isdecimal() and int(megabytes) and int(silos)):
        raise typer.BadParameter(f"{text!r} is not MEGABYTESxSILOS, e.g. 100x2")
    return int(megabytes), int(silos)


def main(
    case: Annotated[list[str], typer.Option(help="MEGABYTESxSILOS; may be given several times.")] = ["1x2", "100x2"],  # noqa: B006 - typer's way
    rounds: Annotated[int, typer.Option(help="Rounds that are counted.")] = 8,
    store: Annotated[StoreKind, typer.Option(help="Object store: local, or s3 (versitygw on PATH).")] = "local",
    report: Annotated[Path | None, typer.Option(help="File for the figures, as JSON.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="File for the table, as Markdown.")] = None,
) -> None:
    """Measure seconds per round and memory with real services and training that costs nothing.

    A case keeps every model of all its rounds on disk until it ends: (rounds + 2) x (silos + 1) x megabytes.
    """
    configure_logs(level="ERROR")
    rows = []
    for megabytes, silos in map(parse_case, case):
        with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
            rows.append(asyncio.run(measure(megabytes, silos, rounds, Path(name), store)))
    Console(width=120 if not sys.stdout.isatty() else None).print(table(rows))
    if report is not None:
        report.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if markdown_file is not None:
        markdown_file.write_text(markdown(rows))


if __name__ == "__main__":
    typer.run(main)
