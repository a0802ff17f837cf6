"""The ledgers that the contract is tried on, each a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from consilo.embedded.blocks import Genesis, decode_block
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.settings import LedgerSettings
from consilo.protocol.canonical import digest
from consilo.protocol.certificates import roots_digest
from services.ledger.embedded import EmbeddedAdapter
from services.ledger.port import Ledger
from tests.contract.ledger_under_test import Clock, LedgerUnderTest, ReadBlock
from tests.simulated_members import authority
from tests.simulators import OUTSIDER

ORGANISATIONS: Final = ("HospitalA", "HospitalB", "HospitalC", OUTSIDER)


@asynccontextmanager
async def embedded_ledger(directory: Path) -> AsyncIterator[LedgerUnderTest]:
    """A ledger in this process; its one gateway serves all organisations, for which its genesis vouches."""
    clock = Clock()
    roots = {msp: roots_digest(authority(msp).roots) for msp in ORGANISATIONS}
    EmbeddedLedger.create(directory / "ledger.db", Genesis(ledger="contract", organisations=roots, created_at=0))
    ledger = EmbeddedLedger.open(directory / "ledger.db", clock=clock)
    copies = 0

    @asynccontextmanager
    async def late() -> AsyncIterator[Ledger]:
        # One process at a time has a ledger open, so this is another on a copy.
        nonlocal copies
        copies += 1
        copy = directory / f"copy-{copies}.db"
        ledger.backup(copy)
        gateway = EmbeddedAdapter(EmbeddedLedger.open(copy, clock=clock))
        try:
            yield gateway
        finally:
            await gateway.close()

    gateway = EmbeddedAdapter(ledger)
    try:
        yield LedgerUnderTest(
            dict.fromkeys(ORGANISATIONS, gateway),
            clock,
            _read_embedded_block,
            late,
            max_transaction_bytes=LedgerSettings().max_transaction_bytes,
        )
    finally:
        await gateway.close()


def _read_embedded_block(data: bytes) -> ReadBlock:
    if b'"height"' not in data:
        return ReadBlock(digest(data), None, ())
    block = decode_block(data)
    return ReadBlock(digest(data), block.previous, tuple(entry.transaction.id for entry in block.entries))


def fabric_ledger(directory: Path) -> AbstractAsyncContextManager[LedgerUnderTest]:
    """See `ledger_on_fabric`."""
    # Here, so that the embedded ledger is tried without the extra `fabric`.
    from tests.contract import ledger_on_fabric

    return ledger_on_fabric.fabric_ledger(directory, ORGANISATIONS)


LEDGERS: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[LedgerUnderTest]]]] = {
    "embedded": embedded_ledger,
    "fabric": fabric_ledger,
}
