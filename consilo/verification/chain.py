"""Replay of a ledger as a gateway shows it, up to the head that the gateway signed. Does network I/O.

The gateway is not trusted: its blocks are replayed, its head is checked against the roots that the blocks register, and
a head that was remembered from earlier must be among them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from consilo.api.errors import AnswerInvalid
from consilo.api.heads import verify_head
from consilo.api.models import Head, SignedHead
from consilo.api.party import Party
from consilo.embedded import positions
from consilo.embedded.blocks import decode_block
from consilo.embedded.errors import LedgerCorrupt
from consilo.protocol.authority import authenticate, current_organisation
from consilo.protocol.canonical import canonical, digest
from consilo.protocol.errors import ProtocolError
from consilo.protocol.transaction import certificate_der
from consilo.protocol.transitions.table import TRANSITIONS
from consilo.protocol.values import organisation_of
from consilo.verification.findings import Finding
from consilo.verification.replay import Replay, replay
from consilo.verification.steps import Step
from consilo.verification.threads import in_own_thread

_PAGE_BLOCKS: Final = 100
_STEP_OF_FINDING: Final = {"vouched": 2, "writes": 3, "event": 3, "state": 3, "index": 3}
_LAST_STEP: Final = 3

OnBlock = Callable[[int, int], None]
"""Called in the event loop's thread with the blocks done and the blocks in all."""


class _Abandoned(Exception):
    """Nobody waits for the replay any more."""


@dataclass(frozen=True)
class LedgerReplay:
    """What the replay of a gateway's ledger came to.

    Attributes:
        replay: the state, and the first thing that is wrong.
        signed: the head that the gateway signed when the replay began.
        seen: the head that was to be found, or None.
        failed_step: 1, 2 or 3, when something is wrong.
    """

    replay: Replay
    signed: SignedHead
    seen: Head | None
    failed_step: int | None

    @property
    def head(self) -> Head | None:
        """The last block that is right."""
        head = self.replay.head
        return None if head is None else Head(ledger=head.ledger, height=head.height, hash=head.hash)

    def steps(self) -> tuple[Step, ...]:
        """Steps 1 to 3 of a verification."""
        if self.failed_step is None:
            return self._good_steps()
        findings = tuple(str(finding) for finding in self.replay.findings)
        reached = "nothing holds" if self.head is None else f"all holds up to block {self.head.height}"
        return tuple(
            Step(number, "failed", f"{findings[0]}; {reached}", findings)
            if number == self.failed_step
            else Step(number, "not-possible", f"{reached}; what follows was not looked at", reason="step-failed")
            for number in range(1, _LAST_STEP + 1)
        )

    def _good_steps(self) -> tuple[Step, ...]:
        head, transactions = self.signed.head, self.replay.transactions
        seen = (
            "no earlier head was remembered"
            if self.seen is None
            else f"block {self.seen.height}, seen before, is there"
        )
        return (
            Step(
                1,
                "ok",
                f"blocks 0 to {head.height} of ledger {head.ledger} lead to {head.hash}, the head that "
                f"{self.signed.signed_by} signed; {seen}",
            ),
            Step(2, "ok", f"{transactions} transactions, each signed by a member with a certificate valid then"),
            Step(3, "ok", f"{transactions} transactions applied again; their writes and events are those recorded"),
        )


async def replay_ledger(
    party: Party,
    *,
    seen: Head | None = None,
    on_block: OnBlock | None = None,
    on_hash: Callable[[str], None] | None = None,
) -> LedgerReplay:
    """Replay the ledger of a member's gateway.

    Memory: the state, and a page of blocks.

    Args:
        party: a connected member.
        seen: a head that this ledger showed before.
        on_block: hears how far it is.
        on_hash: is told the hash of each block, in another thread.

    Raises:
        ApiError: the gateway cannot be read.
    """
    signed = await party.gateway.head()
    blocks = _Blocks(party, signed.head.height, seen, on_block, on_hash)
    head = positions.Head(signed.head.ledger, signed.head.height, signed.head.hash)
    try:
        result = await in_own_thread(
            lambda: replay(blocks, expected_head=head, progress=blocks.finished), "replay the ledger"
        )
    except asyncio.CancelledError:
        blocks.abandon()
        raise
    failed = _failed_step(result, blocks)
    if failed is None and (finding := _wrong_head(result, signed, seen, blocks)) is not None:
        result.findings.append(finding)
        failed = 1
    return LedgerReplay(result, signed, seen, failed)


def _wrong_head(result: Replay, signed: SignedHead, seen: Head | None, blocks: _Blocks) -> Finding | None:
    """What is wrong with the heads, after all blocks were found to hold."""
    gateway = current_organisation(result.state, organisation_of(signed.signed_by))
    try:
        if gateway is None:
            raise AnswerInvalid(f"the ledger does not know {signed.signed_by}, whose head this is")
        verify_head(signed, tuple(certificate_der(root) for root in gateway.roots))
    except AnswerInvalid as error:
        return Finding("head", None, error.message)
    if seen is None:
        return None
    if seen.ledger != signed.head.ledger:
        return Finding("head", None, f"this is ledger {signed.head.ledger}; ledger {seen.ledger} was seen here before")
    if signed.head.height < seen.height:
        message = f"the ledger ends at block {signed.head.height}, but block {seen.height} was seen: it was rolled back"
        return Finding("head", seen.height, message)
    if blocks.seen_hash != seen.hash:
        message = f"it has hash {blocks.seen_hash}, but hash {seen.hash} was seen before: the ledger was replaced"
        return Finding("head", seen.height, message)
    return None


def _failed_step(result: Replay, blocks: _Blocks) -> int | None:
    if result.ok:
        return None
    step = result.findings[0].step
    if step == "transition":
        return 2 if blocks.is_unauthentic(result) else 3
    return _STEP_OF_FINDING.get(step, 1)


class _Blocks:
    """A gateway's blocks, page by page, for a thread; the next page is fetched while one is replayed."""

    def __init__(
        self,
        party: Party,
        height: int,
        seen: Head | None,
        on_block: OnBlock | None,
        on_hash: Callable[[str], None] | None,
    ) -> None:
        self._party = party
        self._height = height
        self._seen = seen
        self._on_block = on_block
        self._on_hash = on_hash
        self._loop = asyncio.get_running_loop()
        self._abandoned = threading.Event()
        self._applied = 0
        self._current = b""
        self.seen_hash: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        page = self._fetch(start)
        while start <= self._height:
            blocks = page.result()
            if not blocks:
                raise LedgerCorrupt(f"the gateway does not give block {start}", start)
            page = self._fetch(start + len(blocks))
            for block in blocks[: self._height + 1 - start]:
                if self._abandoned.is_set():
                    raise _Abandoned
                hash_ = digest(block)
                if self._seen is not None and start == self._seen.height:
                    self.seen_hash = hash_
                if self._on_hash is not None:
                    self._on_hash(hash_)
                self._current = block
                yield block
                start += 1

    def finished(self, height: int, transactions: int) -> None:
        """A block was replayed."""
        self._applied = transactions
        if self._on_block is not None:
            self._loop.call_soon_threadsafe(self._on_block, height + 1, self._height + 1)

    def abandon(self) -> None:
        """Make the thread end."""
        self._abandoned.set()

    def is_unauthentic(self, result: Replay) -> bool:
        """Whether the transaction at which the replay ended was not signed as it must be."""
        entry = decode_block(self._current).entries[result.transactions - self._applied]
        transition = TRANSITIONS.get(entry.transaction.payload.type)
        try:
            if transition is None:
                return False
            body = transition.body.decode(canonical(entry.transaction.payload.body))
        except ProtocolError:
            return False
        try:
            authenticate(result.state, entry.transaction, body, time=entry.time, vouched=entry.vouched)
        except ProtocolError:
            return True
        return False

    def _fetch(self, start: int) -> concurrent.futures.Future[list[bytes]]:
        limit = min(_PAGE_BLOCKS, self._height + 1 - start)

        async def fetch() -> list[bytes]:
            if limit < 1:
                return []
            return await self._party.patience("read the ledger", lambda: self._party.gateway.blocks(start, limit))

        return asyncio.run_coroutine_threadsafe(fetch(), self._loop)
