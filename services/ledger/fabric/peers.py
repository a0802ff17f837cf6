"""Which of the listed peers is asked: the first that is known to be good. No I/O but through the probe.

The gateway's own peer stands first. A peer that failed is passed over until a probe finds it good again; then it is
asked again, if it stands before the others. Nobody's request has to find out that a peer is still away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from services.ledger.fabric.client import GatewayClient
from services.ledger.fabric.delivery import BlockClient
from services.ledger.fabric.diagnosis import Diagnosis
from services.ledger.fabric.errors import FabricError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Peer:
    """One peer, and the clients of its services.

    Attributes:
        msp: id of its organisation.
        address: `host:port`.
    """

    msp: str
    address: str
    gateway: GatewayClient
    blocks: BlockClient

    def __str__(self) -> str:
        return f"the peer of {self.msp} at {self.address}"


class Peers:
    """The listed peers, in order of preference. Make it inside a running event loop.

    Args:
        peers: at least one.
        probe: returns when the peer is good, and raises a `FabricError` when it is not.
        diagnose: what such an error means.
        retry_seconds: between two probes of a peer that failed.
    """

    def __init__(
        self,
        peers: Sequence[Peer],
        *,
        probe: Callable[[Peer], Awaitable[object]],
        diagnose: Callable[[Peer, FabricError], Diagnosis],
        retry_seconds: float,
    ) -> None:
        self._peers = tuple(peers)
        self._probe = probe
        self._diagnose = diagnose
        self._retry_seconds = retry_seconds
        self._problems: dict[Peer, Diagnosis] = {}
        self._probing: dict[Peer, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def best(self) -> Peer | None:
        """The first good peer; None when there is none."""
        return next((peer for peer in self._peers if peer not in self._problems), None)

    def problems(self) -> list[Diagnosis]:
        """What is wrong with those that are not good, in order."""
        return [self._problems[peer] for peer in self._peers if peer in self._problems]

    async def any(self) -> Peer:
        """The first good peer; waits until there is one."""
        while (peer := self.best()) is None:
            await self._changed.wait()
        return peer

    async def until_other_than(self, peer: Peer) -> None:
        """Return when this peer is not the first good one, or is not any more."""
        while self.best() is peer:
            await self._changed.wait()

    def failed(self, peer: Peer, error: FabricError) -> None:
        """This peer did not do what it should: pass it over until it is good again."""
        self._note(peer, self._diagnose(peer, error))
        if peer not in self._probing:
            self._probing[peer] = asyncio.create_task(self._probe_until_good(peer), name=f"probe {peer}")

    async def close(self) -> None:
        """End the probes."""
        for task in tuple(self._probing.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _note(self, peer: Peer, problem: Diagnosis) -> None:
        if self._problems.get(peer) != problem:
            log.warning("peer passed over", peer=str(peer), reason=problem.advice)
        self._problems[peer] = problem
        self._wake()

    async def _probe_until_good(self, peer: Peer) -> None:
        while True:
            await asyncio.sleep(self._retry_seconds)
            try:
                await self._probe(peer)
            except FabricError as error:
                self._note(peer, self._diagnose(peer, error))
            except Exception:
                log.exception("a probe failed by a defect", peer=str(peer))
            else:
                break
        del self._problems[peer], self._probing[peer]
        log.info("peer good again", peer=str(peer))
        self._wake()
