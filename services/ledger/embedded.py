"""The embedded ledger behind the port: its blocking calls in threads, its commits brought to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from consilo.api.models import CommittedEvent, Head, Position
from consilo.embedded import positions, receipts
from consilo.embedded.errors import EmbeddedLedgerError
from consilo.embedded.ledger import EmbeddedLedger
from consilo.protocol import queries
from consilo.protocol.model import Record
from consilo.protocol.transaction import Transaction
from services.ledger.growth import Growth
from services.ledger.port import Commit, LedgerUnavailable

T = TypeVar("T")


class EmbeddedAdapter:
    """`services.ledger.port.Ledger` over an `EmbeddedLedger`. Make it inside a running event loop."""

    kind = "embedded"

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._growth = Growth(lambda: ledger.head().height, self._read_events)
        ledger.subscribe(self._committed)

    def _committed(self, _: receipts.Commit) -> None:
        self._loop.call_soon_threadsafe(self._growth.wake)

    @property
    def name(self) -> str:
        """Name of the ledger."""
        return self._ledger.name

    async def submit(self, transaction: Transaction) -> Commit:
        """See the port."""
        try:
            receipt = await asyncio.wrap_future(self._ledger.submit(transaction))
        except EmbeddedLedgerError as error:
            raise LedgerUnavailable(error.code, str(error)) from None
        return Commit(
            transaction=receipt.transaction, time=receipt.time, repeated=receipt.repeated, head=_head(receipt.head)
        )

    async def query(self, name: str, arguments: Record) -> Record:
        """See the port."""

        def answer() -> Record:
            with self._ledger.snapshot() as state:
                return queries.answer(state, name, arguments)

        return await self._in_thread(answer)

    async def head(self) -> Head:
        """See the port."""
        return _head(self._ledger.head())

    async def hash_at(self, height: int) -> str | None:
        """See the port."""
        return await self._in_thread(lambda: self._ledger.hash_at(height))

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        """See the port."""
        return await self._in_thread(lambda: self._ledger.blocks(start, limit))

    async def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """See the port."""
        return await self._growth.events(after, limit)

    async def _read_events(self, after: Position, limit: int) -> list[CommittedEvent]:
        place = positions.Position(after.height, after.index)
        found = await self._in_thread(lambda: self._ledger.events(place, limit))
        return [
            CommittedEvent(
                position=Position(height=committed.position.height, index=committed.position.index),
                time=committed.time,
                event=committed.event,
            )
            for committed in found
        ]

    async def end(self) -> Position:
        """See the port."""
        return self._growth.end()

    async def wait_after(self, height: int) -> None:
        """See the port."""
        await self._growth.wait_after(height)

    async def check(self) -> None:
        """See the port."""
        await self.head()

    async def close(self) -> None:
        """See the port."""
        await asyncio.to_thread(self._ledger.close)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except EmbeddedLedgerError as error:
            raise LedgerUnavailable(error.code, str(error)) from None


def _head(head: positions.Head) -> Head:
    return Head(ledger=head.ledger, height=head.height, hash=head.hash)
