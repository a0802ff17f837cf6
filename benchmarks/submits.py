"""How long a transaction takes to be on the ledger, and how many a second there are, through the REST API.

    python -m benchmarks.submits --ledger fabric

The transactions are the smallest there are: revocations of certificates that were never issued. Does network I/O.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic
from typing import Annotated, Final

import typer

from benchmarks.tables import Section, show
from consilo.api.party import Party
from consilo.hosting.logs import configure_logs
from consilo.protocol.bodies import RevokeMember
from services.local.foundations import LedgerKind
from services.local.processes import Services
from services.local.system import System, start_ledger

SUBMITTERS: Final = 16
WARM_UP: Final = 10
_FIRST_SERIAL: Final = 2**64


@dataclass(frozen=True)
class Latency:
    """Of one call after the other, in seconds."""

    median: float
    p95: float


@dataclass(frozen=True)
class Submits:
    """What submitting costs.

    Attributes:
        alone: from handing in one transaction to its commit, when there is no other.
        together: the same with `SUBMITTERS` at work.
        per_second: transactions that `SUBMITTERS` bring onto the ledger in a second.
    """

    alone: Latency
    together: Latency
    per_second: float


async def latency(call: Callable[[], Awaitable[object]], times: int) -> list[float]:
    """Seconds that each of so many calls takes, after some that do not count."""
    for _ in range(WARM_UP):
        await call()
    seconds = []
    for _ in range(times):
        started = monotonic()
        await call()
        seconds.append(monotonic() - started)
    return seconds


def of(seconds: list[float]) -> Latency:
    """Median and 95th percentile."""
    return Latency(median(seconds), quantiles(seconds, n=20)[-1])


class Revocations:
    """Transactions without end.

    Args:
        first: number of the first; two that send to the same ledger need ranges of their own.
    """

    def __init__(self, first: int = 0) -> None:
        self._serials: Iterator[int] = itertools.count(_FIRST_SERIAL + first)

    async def submit(self, party: Party) -> None:
        """Bring the next one onto the ledger."""
        await party.metadata_publish(RevokeMember(serial=f"{next(self._serials):x}", reason="a measurement"))


async def measure(system: System, transactions: int) -> Submits:
    """Submit at the gateways of all hospitals in turn."""
    revocations = Revocations()
    async with AsyncExitStack() as stack:
        parties = [await stack.enter_async_context(system.party(each.operator)) for each in system.hospitals]
        turns = itertools.cycle(parties)
        alone = await latency(lambda: revocations.submit(next(turns)), transactions)

        async def submitter(number: int) -> list[float]:
            party = parties[number % len(parties)]
            return await latency(lambda: revocations.submit(party), max(2, transactions // SUBMITTERS))

        started = monotonic()
        together = await asyncio.gather(*map(submitter, range(SUBMITTERS)))
        seconds = monotonic() - started
    count = sum(map(len, together)) + SUBMITTERS * WARM_UP
    return Submits(of(alone), of([each for some in together for each in some]), count / seconds)


async def measured(ledger: LedgerKind, hospitals: int, transactions: int, directory: Path) -> Submits:
    """Start a ledger, and measure."""
    (directory / "logs").mkdir()
    services = Services(directory / "logs", 60.0)
    try:
        return await measure(await start_ledger(hospitals, directory, services, ledger=ledger), transactions)
    finally:
        await services.stop()


def section(ledger: LedgerKind, found: Submits) -> Section:
    """The table."""
    return Section(
        title=f"Submitting to the {ledger} ledger",
        text=f"From handing in a transaction to its commit, through the REST API: one after the other, and by "
        f"{SUBMITTERS} at once from one process.",
        columns=("", "median", "95 %", "per second"),
        rows=[
            ("alone", ms(found.alone.median), ms(found.alone.p95), ""),
            (f"{SUBMITTERS} at once", ms(found.together.median), ms(found.together.p95), f"{found.per_second:.0f}"),
        ],
        left=1,
        figures=asdict(found),
    )


def ms(seconds: float) -> str:
    """A short time, for people."""
    return f"{seconds * 1000:.1f} ms"


def main(
    ledger: Annotated[
        LedgerKind, typer.Option(help="Kind of the ledger; fabric needs Fabric's binaries.")
    ] = "embedded",
    hospitals: Annotated[int, typer.Option(help="Organisations, each with an operator that submits.", min=1)] = 3,
    transactions: Annotated[int, typer.Option(help="That are measured, each way.", min=20)] = 320,
    report: Annotated[Path | None, typer.Option(help="Directory for the figures, as JSON.")] = None,
) -> None:
    """Measure how long a transaction takes to be on the ledger, and how many a second there are."""
    configure_logs(level="ERROR")
    with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
        found = asyncio.run(measured(ledger, hospitals, transactions, Path(name)))
    show({f"submits-{ledger}": section(ledger, found)}, report)


if __name__ == "__main__":
    typer.run(main)
