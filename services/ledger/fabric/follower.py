"""Keeps the replica up to date from the blocks of the best peer, for ever. Calls peers; writes the replica's file.

A stream starts at the newest block that the replica has, not after it: its first block shows whether the peer has the
same chain. It moves to another peer when its own fails, or a better one is good again. A peer that freezes breaks no
stream, so the peer of a stream that is silent for long is probed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final

import structlog

from consilo.embedded.errors import EmbeddedLedgerError
from consilo.fabric.blocks import FabricBlockError
from services.ledger.fabric.errors import DeliverError, FabricError
from services.ledger.fabric.peers import Peer, Peers
from services.ledger.fabric.probing import probe
from services.ledger.fabric.replica import Replica

_MOST_BLOCKS: Final = 16  # that wait to be written, in one transaction of the replica's file

_Coming = bytes | Exception | None
"""A block; or why there are no more; or None, when another peer is to be followed."""

log = structlog.get_logger(__name__)


class Follower:
    """Follows the channel. `run` in a task of its own.

    Args:
        peers: to follow.
        replica: that is written.
        grown: called after `visible_height` has grown.
        silence_seconds: without a block, after which the peer is probed.
        retry_seconds: to wait when the replica's file cannot be written.

    Attributes:
        has_caught_up: the replica has come as far as a peer was, once since the start.
        target: the number of the block that it must have come to for that; None before a peer has answered.
        trouble: why the replica's file cannot be written; None when it can.
    """

    def __init__(
        self,
        peers: Peers,
        replica: Replica,
        *,
        grown: Callable[[], None],
        silence_seconds: float,
        retry_seconds: float,
    ) -> None:
        self._peers = peers
        self._replica = replica
        self._grown = grown
        self._silence_seconds = silence_seconds
        self._retry_seconds = retry_seconds
        self.has_caught_up = False
        self.target: int | None = None
        self.trouble: EmbeddedLedgerError | None = None

    @property
    def height(self) -> int:
        """Of the newest block; -1 when there is none."""
        tip = self._replica.tip
        return -1 if tip is None else tip.height

    @property
    def visible_height(self) -> int:
        """Of the newest block that may be shown; -1 while the replica has not caught up."""
        return self.height if self.has_caught_up else -1

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            peer = await self._peers.any()
            try:
                await self._follow(peer)
            except FabricError as error:
                self._peers.failed(peer, error)
            except EmbeddedLedgerError as error:
                self.trouble = error
                log.exception("the replica is not written", code=error.code)
                await asyncio.sleep(self._retry_seconds)
            except Exception:
                log.exception("following failed by a defect")
                await asyncio.sleep(self._retry_seconds)

    async def _follow(self, peer: Peer) -> None:
        """Take blocks of a peer until another one is to be preferred.

        Raises:
            FabricError: the peer is not good any more.
            EmbeddedLedgerError: the replica's file cannot be written.
        """
        newest = await probe(peer, self._replica.tip)
        self.target = newest if self.target is None else max(self.target, newest)
        log.info("following", peer=str(peer), height=self.height, newest=newest)
        coming: asyncio.Queue[_Coming] = asyncio.Queue(_MOST_BLOCKS)
        tasks = [
            asyncio.create_task(task, name=f"{peer}: {name}")
            for name, task in {
                "blocks": _read(peer, max(self.height, 0), coming),
                "silence": self._probe_when_silent(peer, coming),
                "other peers": self._look_for_other(peer, coming),
            }.items()
        ]
        try:
            while True:
                if self.height >= self.target and not self.has_caught_up:
                    self.has_caught_up = True
                    self._grown()
                batch = await _batch(coming)
                if batch is None:
                    return
                await self._append(batch)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _append(self, batch: list[bytes]) -> None:
        before = self.height
        try:
            await asyncio.to_thread(self._replica.append, batch)
        except FabricBlockError as error:
            raise DeliverError("DATA_LOSS", error.message) from None
        self.trouble = None
        if self.height > before and self.has_caught_up:
            self._grown()

    async def _probe_when_silent(self, peer: Peer, coming: asyncio.Queue[_Coming]) -> None:
        """Nothing comes: is there nothing, does the peer not answer, or does only the stream stand still?"""
        expected = -1
        while True:
            before = self.height
            await asyncio.sleep(self._silence_seconds)
            if self.height > before:
                continue
            if expected > self.height:
                await coming.put(DeliverError("DEADLINE_EXCEEDED", f"its block {expected} does not come"))
                return
            try:
                expected = await probe(peer, self._replica.tip)
            except FabricError as error:
                await coming.put(error)
                return

    async def _look_for_other(self, peer: Peer, coming: asyncio.Queue[_Coming]) -> None:
        await self._peers.until_other_than(peer)
        await coming.put(None)


async def _read(peer: Peer, first: int, coming: asyncio.Queue[_Coming]) -> None:
    try:
        async with aclosing(peer.blocks.follow(first)) as blocks:
            async for block in blocks:
                await coming.put(block)
    except Exception as error:
        await coming.put(error)


async def _batch(coming: asyncio.Queue[_Coming]) -> list[bytes] | None:
    """The blocks that have come, at least one. None when another peer is to be followed."""
    batch: list[bytes] = []
    item = await coming.get()
    with suppress(asyncio.QueueEmpty):
        while isinstance(item, bytes):
            batch.append(item)
            item = coming.get_nowait()
        if isinstance(item, Exception):
            raise item
        return None
    return batch
