"""A Fabric channel behind the port: reads are answered by the replica, transactions go to the peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final, TypeVar

import grpc

from consilo.api.gateway import now_ms
from consilo.api.models import CommittedEvent, Head, Position
from consilo.embedded.errors import EmbeddedLedgerError, LedgerCorrupt
from consilo.fabric.lines import encode_line
from consilo.protocol import queries
from consilo.protocol.model import Record
from consilo.protocol.transaction import Transaction
from services.ledger.fabric.diagnosis import Asked, Diagnosis, diagnose
from services.ledger.fabric.errors import DeliverError, FabricError
from services.ledger.fabric.follower import Follower
from services.ledger.fabric.peers import Peer, Peers
from services.ledger.fabric.probing import probe
from services.ledger.fabric.replica import Replica, ReplicaSnapshot
from services.ledger.fabric.settings import FabricSettings
from services.ledger.fabric.signing import ClientIdentity
from services.ledger.fabric.submission import Limits, Submitter
from services.ledger.growth import Growth
from services.ledger.port import Commit, LedgerUnavailable

_MAX_READ_BYTES: Final = 16 * 2**20  # of blocks, in one answer; one block is given whatever its size

T = TypeVar("T")


class FabricAdapter:
    """`services.ledger.port.Ledger` over a channel. Make it inside a running event loop.

    Nothing is read from the replica before it has caught up with a peer once: a state of long ago, or a part of one,
    would look like a ledger that was set back.

    Args:
        settings: names and limits.
        identity: of the client.
        replica: of the state; closed with the adapter.
        peers: in order of preference.
        connections: of the peers; closed with the adapter.
        clock: of the time that a transaction claims, milliseconds since 1970-01-01 UTC.
    """

    kind = "fabric"

    def __init__(
        self,
        settings: FabricSettings,
        identity: ClientIdentity,
        replica: Replica,
        peers: Sequence[Peer],
        connections: Sequence[grpc.aio.Channel],
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._replica = replica
        self._connections = connections
        self._peers = Peers(
            peers,
            probe=lambda peer: probe(peer, replica.tip),
            diagnose=self._diagnose,
            retry_seconds=settings.peer_retry_seconds,
        )
        self._growth = Growth(lambda: self._follower.visible_height, self._read_events)
        self._follower = Follower(
            self._peers,
            replica,
            grown=self._growth.wake,
            silence_seconds=settings.silence_seconds,
            retry_seconds=settings.peer_retry_seconds,
        )
        self._submitter = Submitter(
            self._peers,
            replica,
            self._growth,
            head=self._head,
            diagnose=self._diagnose,
            msp=identity.msp,
            limits=Limits(
                total_seconds=settings.transaction_timeout_seconds,
                lag_seconds=settings.lag_seconds,
                first_pause_seconds=settings.first_pause_seconds,
                longest_pause_seconds=settings.longest_pause_seconds,
                max_message_bytes=settings.max_message_bytes,
                max_in_flight=settings.max_transactions_in_flight,
            ),
            clock=clock,
        )
        self._following = asyncio.create_task(self._follower.run(), name="follow the channel")

    @property
    def name(self) -> str:
        """Name of the ledger: of the channel."""
        return self._settings.channel

    async def submit(self, transaction: Transaction) -> Commit:
        """See the port."""
        self._check_caught_up()
        try:
            return await self._submitter.submit(transaction)
        except EmbeddedLedgerError as error:
            raise self._unavailable(error) from None

    async def query(self, name: str, arguments: Record) -> Record:
        """See the port."""
        return await self._read(lambda state: queries.answer(state, name, arguments))

    async def head(self) -> Head:
        """See the port."""
        self._check_caught_up()
        return self._head()

    async def hash_at(self, height: int) -> str | None:
        """See the port. Another gateway may have shown a block that is on its way to here: that is no lost block."""
        self._check_caught_up()
        known = self._head().height
        if height > known:
            raise LedgerUnavailable("ledger-behind", f"this gateway has come to block {known}, and not to {height} yet")
        return await self._read(lambda state: state.hash_at(height))

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        """See the port. They are asked of the best peer: the replica keeps none."""
        self._check_caught_up()
        last = min(start + limit - 1, self._follower.visible_height)
        if last < start:
            return []
        while (peer := self._peers.best()) is not None:
            try:
                return await _lines(peer, start, last)
            except DeliverError as error:
                self._peers.failed(peer, error)
        raise self._no_peer()

    async def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """See the port."""
        self._check_caught_up()
        return await self._growth.events(after, limit)

    async def end(self) -> Position:
        """See the port."""
        self._check_caught_up()
        return self._growth.end()

    async def wait_after(self, height: int) -> None:
        """See the port."""
        await self._growth.wait_after(height)

    async def check(self) -> None:
        """See the port."""
        trouble = self._follower.trouble
        if trouble is not None:
            raise self._unavailable(trouble)
        if self._peers.best() is None:
            raise self._no_peer()
        self._check_caught_up()

    async def close(self) -> None:
        """See the port."""
        self._following.cancel()
        with suppress(asyncio.CancelledError):
            await self._following
        await self._peers.close()
        for connection in self._connections:
            await connection.close()
        await asyncio.to_thread(self._replica.close)

    def _head(self) -> Head:
        tip = self._replica.tip
        assert tip is not None  # noqa: S101 - there is a block when it has caught up with a peer
        return Head(ledger=self.name, height=tip.height, hash=tip.hash)

    def _check_caught_up(self) -> None:
        if self._follower.has_caught_up:
            return
        target = self._follower.target
        if target is None:
            raise self._no_peer()
        message = f"the replica of the ledger is being made: it has {self._follower.height + 1} of {target + 1} blocks"
        raise LedgerUnavailable("ledger-unavailable", message)

    def _no_peer(self) -> LedgerUnavailable:
        problems = self._peers.problems()
        code = "ledger-misconfigured" if any(each.kind == "set-up" for each in problems) else "ledger-unavailable"
        return LedgerUnavailable(code, "; ".join(each.advice for each in problems) or "no peer has answered yet")

    async def _read_events(self, after: Position, limit: int) -> list[CommittedEvent]:
        return await self._read(lambda state: state.events(after, limit))

    async def _read(self, look: Callable[[ReplicaSnapshot], T]) -> T:
        self._check_caught_up()

        def read() -> T:
            with self._replica.snapshot() as state:
                return look(state)

        try:
            return await asyncio.to_thread(read)
        except EmbeddedLedgerError as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: EmbeddedLedgerError) -> LedgerUnavailable:
        if isinstance(error, LedgerCorrupt):
            message = "the replica of the ledger is damaged: stop the gateway, remove its state_file, start it"
            return LedgerUnavailable(error.code, message)
        return LedgerUnavailable(error.code, error.message)

    def _diagnose(self, peer: Peer, error: FabricError) -> Diagnosis:
        asked = Asked(str(peer), self._identity, self._settings.channel, self._settings.chaincode)
        return diagnose(error, asked, now=now_ms())


async def _lines(peer: Peer, first: int, last: int) -> list[bytes]:
    lines: list[bytes] = []
    left = _MAX_READ_BYTES
    async with aclosing(peer.blocks.blocks(first, last)) as blocks:
        async for block in blocks:
            lines.append(encode_line(block))
            left -= len(lines[-1])
            if left < 0:
                break
    return lines
