"""One transaction onto the ledger, however often that must be tried. Calls peers; reads the replica.

    endorse -> submit -> wait for the commit -> wait until the replica has the block

Whatever goes wrong on the way has one cure: the same request as a new transaction of Fabric, after a pause. The state
machine applies a request once, so that is safe when it is not known whether the last one was ordered: that orderers
took a transaction does not mean that they still have it. Two that meet in one block conflict, and only one counts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from consilo.api.gateway import now_ms
from consilo.api.models import Head
from consilo.fabric.receipts import Receipt
from consilo.protocol import keys
from consilo.protocol.records import Applied
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.protocol.state import read
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from services.ledger.fabric.diagnosis import Diagnosis
from services.ledger.fabric.errors import CommitError, EndorseError, FabricError, PeerError, SubmitError
from services.ledger.fabric.judgement import judge
from services.ledger.fabric.messages import Proposal
from services.ledger.fabric.peers import Peer, Peers
from services.ledger.fabric.replica import Replica, ReplicaSnapshot
from services.ledger.growth import Growth
from services.ledger.port import Commit, LedgerUnavailable

T = TypeVar("T")

_TOO_LARGE: Final = "exceeds maximum allowed"  # an orderer, of a message beyond AbsoluteMaxBytes

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """Of submitting.

    Attributes:
        total_seconds: for one transaction, all tries and waits included.
        lag_seconds: in which peers that lag behind are expected to catch up.
        first_pause_seconds: longest pause before the second try; doubled each time. Pauses are random.
        longest_pause_seconds: bound of that.
        max_message_bytes: of a transaction as it is ordered.
        max_in_flight: transactions at once.
    """

    total_seconds: float
    lag_seconds: float
    first_pause_seconds: float
    longest_pause_seconds: float
    max_message_bytes: int
    max_in_flight: int


class _Again(Exception):
    """This try came to nothing. `verdict`: what it comes to when trying again does not help for `lag_seconds`."""

    def __init__(self, reason: str, verdict: Refusal | LedgerUnavailable | None = None) -> None:
        super().__init__(reason)
        self.verdict = verdict


@dataclass
class _Progress:
    """How far a transaction has come, in words."""

    at: str = ""


class Submitter:
    """Hands in transactions.

    Args:
        peers: to go through.
        replica: to compare with, and to wait for.
        growth: of the replica.
        head: the replica's newest block.
        diagnose: what an error of a peer means.
        msp: id of the client's MSP, for which the ledger vouches.
        limits: of it all.
        clock: of the time that a transaction claims, milliseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        peers: Peers,
        replica: Replica,
        growth: Growth,
        *,
        head: Callable[[], Head],
        diagnose: Callable[[Peer, FabricError], Diagnosis],
        msp: str,
        limits: Limits,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._peers = peers
        self._replica = replica
        self._growth = growth
        self._head = head
        self._diagnose = diagnose
        self._msp = msp
        self._limits = limits
        self._clock = clock
        self._in_flight = 0

    async def submit(self, transaction: Transaction) -> Commit:
        """Hand in a transaction, and wait until the replica has it.

        Raises:
            Refusal: the rules do not admit it; `too-large` when the channel does not take it.
            LedgerUnavailable: not now.
        """
        try:
            transaction.encode()
        except InvalidInput as error:  # what came over no wire may have no canonical form
            raise Refusal(error.code, error.message) from None
        if self._in_flight >= self._limits.max_in_flight:
            message = f"{self._in_flight} transactions are being handed in; send it again in a moment"
            raise LedgerUnavailable("ledger-overloaded", message)
        self._in_flight += 1
        try:
            return await self._until_done(transaction)
        finally:
            self._in_flight -= 1

    async def _until_done(self, transaction: Transaction) -> Commit:
        clock = asyncio.get_running_loop().time
        lagging_since: float | None = None
        progress, logged = _Progress(), ""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                for pause in self._pauses():
                    try:
                        return await self._try(transaction, progress)
                    except _Again as again:
                        reason = str(again)
                        if again.verdict is None:
                            lagging_since = None
                        elif lagging_since is None:
                            lagging_since = clock()
                        elif clock() - lagging_since >= self._limits.lag_seconds:
                            raise again.verdict from None
                    if reason != logged:
                        log.info("a transaction is tried again", transaction=transaction.id, reason=reason)
                    progress.at = logged = reason
                    await asyncio.sleep(pause)
        except TimeoutError:
            pass
        reasons = dict.fromkeys([progress.at, *(problem.advice for problem in self._peers.problems())])
        message = (
            f"not known to be on the ledger after {self._limits.total_seconds:g} s ({'; '.join(reasons)}). It may "
            "still come: send the same request again"
        )
        raise LedgerUnavailable("ledger-unavailable", message)

    def _pauses(self) -> Iterator[float]:
        longest = self._limits.first_pause_seconds
        while True:
            yield random.uniform(0, longest)  # noqa: S311 - so that those who met do not meet again; no secret
            longest = min(2 * longest, self._limits.longest_pause_seconds)

    async def _try(self, transaction: Transaction, progress: _Progress) -> Commit:
        applied_at = await self._read(lambda state: _applied_at(state, transaction.id))
        if applied_at is not None:
            return self._commit(Receipt(transaction=transaction.id, time=applied_at, repeated=True))
        progress.at = "waiting for a peer"
        peer = await self._peer()
        proposal = peer.gateway.propose([b"submit", transaction.encode()], self._clock())
        self._check_size(proposal.size_bytes)
        progress.at = f"waiting for endorsements, through {peer}"
        try:
            endorsed = await peer.gateway.endorse(proposal)
        except EndorseError as error:
            raise await self._not_endorsed(error, peer, proposal, transaction) from None
        receipt = _receipt(endorsed.result, peer)
        if receipt.repeated:
            progress.at = "it is on the ledger already; waiting for the replica to have it"
            await self._until_applied(transaction.id)
            return self._commit(receipt)
        self._check_size(endorsed.size_bytes)
        progress.at = f"waiting for the commit, through {peer}"
        try:
            await peer.gateway.submit(endorsed)
            status = await peer.gateway.commit_status(endorsed.transaction_id)
        except PeerError as error:
            raise self._of_peer(peer, error) from None
        if status.code:
            raise _Again(str(CommitError(endorsed.transaction_id, status.code, status.block)))
        progress.at = f"it is on the ledger; waiting for the replica to have block {status.block}"
        await self._growth.wait_after(status.block - 1)
        return self._commit(receipt)

    async def _until_applied(self, transaction_id: str) -> None:
        while True:
            height = self._head().height  # before looking, so that growth in between is not missed
            if await self._read(lambda state: _applied_at(state, transaction_id)) is not None:
                return
            await self._growth.wait_after(height)

    async def _peer(self) -> Peer:
        problems = self._peers.problems()
        if self._peers.best() is None and all(problem.kind == "set-up" for problem in problems):
            raise LedgerUnavailable("ledger-misconfigured", "; ".join(problem.advice for problem in problems))
        return await self._peers.any()

    async def _not_endorsed(
        self, error: EndorseError, peer: Peer, proposal: Proposal, transaction: Transaction
    ) -> Exception:
        """What to raise for a transaction that was not endorsed."""
        if any(answer.differs or answer.refusal is not None for answer in error.answers):
            vouched = self._msp == organisation_of(transaction.payload.member)
            judgement = await self._read(
                lambda state: judge(error.answers, peer.msp, state, transaction, proposal.time, vouched=vouched)
            )
            reason = "; ".join(map(str, error.answers))
            return judgement.verdict if judgement.is_final else _Again(reason, judgement.verdict)
        return self._of_peer(peer, error)

    def _of_peer(self, peer: Peer, error: PeerError) -> Exception:
        """What to raise when a peer, or the orderers behind it, did not do their part."""
        if isinstance(error, SubmitError) and _TOO_LARGE in error.message:
            return Refusal("too-large", f"the channel does not take it: {error.message}")
        diagnosis = self._diagnose(peer, error)
        if diagnosis.is_of_peer:
            self._peers.failed(peer, error)
        return _Again(diagnosis.advice)

    def _check_size(self, size_bytes: int) -> None:
        limit = self._limits.max_message_bytes
        if size_bytes > limit:
            message = f"as a transaction of Fabric it has {size_bytes} bytes; the channel takes {limit}"
            raise Refusal("too-large", message)

    def _commit(self, receipt: Receipt) -> Commit:
        return Commit(transaction=receipt.transaction, time=receipt.time, repeated=receipt.repeated, head=self._head())

    async def _read(self, look: Callable[[ReplicaSnapshot], T]) -> T:
        def read_() -> T:
            with self._replica.snapshot() as state:
                return look(state)

        return await asyncio.to_thread(read_)


def _applied_at(state: ReplicaSnapshot, transaction_id: str) -> int | None:
    applied = read(state, keys.transaction(transaction_id), Applied)
    return None if applied is None else applied.applied_at


def _receipt(result: bytes, peer: Peer) -> Receipt:
    try:
        return Receipt.decode(result)
    except InvalidInput as error:
        message = f"{peer} endorsed something else than a receipt ({error.message}): the chaincode is not Consilo's"
        raise LedgerUnavailable("ledger-misconfigured", message) from None
