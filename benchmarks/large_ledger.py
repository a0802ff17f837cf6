"""Whether an embedded ledger that holds much is slower than a new one.

    python -m benchmarks.large_ledger --records 100000

The same consortium is measured twice; in between, its gateway is ended and its ledger filled in this process. Starts
processes, reads and writes the ledger's file.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer

from benchmarks.memory import resident_megabytes
from benchmarks.rounds import noop
from benchmarks.running import RUN, Running, running
from benchmarks.submits import Latency, Revocations, latency, ms, of
from benchmarks.tables import Section, show
from consilo.api.party import Party
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.receipts import Receipt
from consilo.hosting.logs import configure_logs
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RevokeMember
from consilo.protocol.transaction import Transaction, envelope, payload, signed_bytes
from services.local.system import propose_run

RECORDS_PER_TRANSACTION: Final = 2
"""A revocation, and that the transaction was applied."""

_IN_FLIGHT: Final = 512
_START_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Figures:
    """One row.

    Attributes:
        records: that were added before.
        status: reading where a run stands, from request to answer.
        submit: from handing in a transaction to its commit.
        start_seconds: for the gateway to start on the ledger.
        megabytes: peak resident memory of the gateway.
    """

    records: int
    status: Latency
    submit: Latency
    start_seconds: float
    megabytes: float


def fill(file: Path, operator: Identity, transactions: int) -> None:
    """Add transactions to a ledger that no process has open."""
    with EmbeddedLedger.open(file) as ledger:
        waiting: deque[Future[Receipt]] = deque()
        for number in range(1, transactions + 1):
            if len(waiting) >= _IN_FLIGHT:
                waiting.popleft().result()
            waiting.append(ledger.submit(_revocation(ledger.name, operator, number)))
        for future in waiting:
            future.result()


def _revocation(ledger: str, operator: Identity, number: int) -> Transaction:
    body = RevokeMember(serial=f"{number:x}", reason="a measurement")
    signed = payload(ledger, operator.member, "revoke_member", body)
    return envelope(signed, operator.certificates, operator.sign(signed_bytes(signed)))


async def look(party: Party, records: int, revocations: Revocations, calls: int) -> tuple[Latency, Latency]:
    """Read where the run stands, and submit, each so many times."""
    status = of(await latency(lambda: party.gateway.run_status(RUN), calls))
    return status, of(await latency(lambda: revocations.submit(party), calls))


async def measure(records: int, calls: int, directory: Path) -> list[Figures]:
    """The new ledger, then the same one with so many records more."""
    revocations = Revocations()
    async with running(noop(1), silos=2, rounds=1, directory=directory) as consortium:
        await propose_run(consortium.system, RUN, consortium.agreed)
        for name in [name for name in consortium.services.running if name != "ledger" and name != "store"]:
            await consortium.services.running.pop(name).stop()  # that nobody else asks meanwhile
        found = []
        for added in (0, records):
            started = await _restart(consortium, directory / "ledger.sqlite", added)
            operator = consortium.system.first.operator
            async with consortium.system.party(operator) as party:
                status, submit = await look(party, added, revocations, calls)
            pid = consortium.services.running["ledger"].pid
            found.append(Figures(added, status, submit, started, 0.0 if pid is None else resident_megabytes(pid)))
        return found


async def _restart(consortium: Running, file: Path, records: int) -> float:
    """Add records while the gateway is down; returns the seconds in which it started again."""
    gateway = consortium.services.running["ledger"]
    await gateway.stop()
    if records:
        await asyncio.to_thread(fill, file, consortium.system.first.operator, records // RECORDS_PER_TRANSACTION)
    started = monotonic()
    await gateway.start(_START_SECONDS)
    return monotonic() - started


def section(found: list[Figures]) -> Section:
    """The table."""
    return Section(
        title="A ledger that holds much",
        text="Latencies at the gateway of an embedded ledger, one call after the other: reading where a run stands, "
        "and from handing in a transaction to its commit (median and 95th percentile); a new ledger, and the same one "
        "after records were added. Beside them, what the gateway takes to start, and its peak memory.",
        columns=("records added", "status", "95 %", "submit", "95 %", "start", "memory"),
        rows=[
            (
                f"{row.records:,}".replace(",", " "),
                ms(row.status.median),
                ms(row.status.p95),
                ms(row.submit.median),
                ms(row.submit.p95),
                f"{row.start_seconds:.2f} s",
                f"{row.megabytes:.0f} MB",
            )
            for row in found
        ],
        figures=[asdict(row) for row in found],
    )


def main(
    records: Annotated[int, typer.Option(help="To add.", min=2)] = 100_000,
    calls: Annotated[int, typer.Option(help="Of each kind that are measured.", min=20)] = 300,
    report: Annotated[Path | None, typer.Option(help="Directory for the figures, as JSON.")] = None,
) -> None:
    """Compare the latencies of a large ledger with those of a new one."""
    configure_logs(level="ERROR")
    with tempfile.TemporaryDirectory(prefix="consilo-bench-") as name:
        found = asyncio.run(measure(records, calls, Path(name) / "consortium"))
    show({"large-ledger": section(found)}, report)


if __name__ == "__main__":
    typer.run(main)
