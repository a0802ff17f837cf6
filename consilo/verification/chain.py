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
from consilo.embedded.errors import LedgerCorrupt
from consilo.protocol.authority import current_organisation
from consilo.protocol.transaction import certificate_der
from consilo.protocol.values import organisation_of
from consilo.verification.comparison import Comparison
from consilo.verification.findings import Finding
from consilo.verification.kinds import Kind, kind_of
from consilo.verification.replay import Replay
from consilo.verification.steps import Step
from consilo.verification.threads import in_own_thread

_PAGE_BLOCKS: Final = 100
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
        others: what other organisations' gateways said, where the kind of ledger has each hold its own state.
    """

    replay: Replay
    signed: SignedHead
    seen: Head | None
    others: tuple[Comparison, ...] = ()

    @property
    def failed_step(self) -> int | None:
        """1, 2 or 3, when something is wrong."""
        return self.replay.failed_step

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
            Step(
                3,
                "ok",
                f"{transactions} transactions applied again; their writes and events are those recorded"
                + self._compared(),
            ),
        )

    def _compared(self) -> str:
        """What the others said, to add to a sentence."""
        same = [f"{each.msp} (block {each.height})" for each in self.others if each.height is not None]
        missed = [f"{each.msp} was not compared: {each.missed}" for each in self.others if each.missed is not None]
        found = [f"the same state is held by {', '.join(same)}"] if same else []
        return "".join(f"; {each}" for each in (*found, *missed))


async def replay_ledger(
    party: Party,
    *,
    seen: Head | None = None,
    genesis: str | None = None,
    on_block: OnBlock | None = None,
    on_hash: Callable[[str], None] | None = None,
) -> LedgerReplay:
    """Replay the ledger of a member's gateway.

    Memory: the state, and a page of blocks.

    Args:
        party: a connected member.
        seen: a head that this ledger showed before.
        genesis: hash that block 0 must have; None: any, as long as what was seen before follows from it.
        on_block: hears how far it is.
        on_hash: is told the hash of each block, in another thread.

    Raises:
        LedgerNotReadable: it is of a kind that cannot be read here.
        ApiError: the gateway cannot be read.
    """
    kind = kind_of((await party.gateway.info()).kind)
    signed = await party.gateway.head()
    blocks = _Blocks(party, kind, signed.head.height, on_block)
    head = positions.Head(signed.head.ledger, signed.head.height, signed.head.hash)
    replay = kind.replay(expected_genesis=genesis, expected_head=head)
    watched = _Watched(seen, on_hash)

    def finished(height: int, transactions: int) -> None:
        watched.block(height, replay.result.marks[height].hash)
        blocks.finished(height)

    try:
        result = await in_own_thread(lambda: replay.run(blocks, progress=finished), "replay the ledger")
    except asyncio.CancelledError:
        blocks.abandon()
        raise
    if result.ok and (finding := _wrong_head(result, signed, seen, watched.seen_hash)) is not None:
        result.fail(finding)
    others: tuple[Comparison, ...] = ()
    if result.ok and kind.compares is not None:
        others = tuple(await kind.compares(party, result))
        for each in others:
            if each.finding is not None:
                result.fail(each.finding)
    return LedgerReplay(result, signed, seen, others)


def _wrong_head(result: Replay, signed: SignedHead, seen: Head | None, seen_hash: str | None) -> Finding | None:
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
    if seen_hash != seen.hash:
        message = f"it has hash {seen_hash}, but hash {seen.hash} was seen before: the ledger was replaced"
        return Finding("head", seen.height, message)
    return None


class _Watched:
    """What is asked of the hashes as they come by, in the replay's thread."""

    def __init__(self, seen: Head | None, on_hash: Callable[[str], None] | None) -> None:
        self._seen = seen
        self._on_hash = on_hash
        self.seen_hash: str | None = None

    def block(self, height: int, hash_: str) -> None:
        """A block was found right."""
        if self._seen is not None and height == self._seen.height:
            self.seen_hash = hash_
        if self._on_hash is not None:
            self._on_hash(hash_)


class _Blocks:
    """A gateway's blocks, page by page, for a thread; the next page is fetched while one is replayed."""

    def __init__(self, party: Party, kind: Kind, height: int, on_block: OnBlock | None) -> None:
        self._party = party
        self._kind = kind
        self._height = height
        self._on_block = on_block
        self._loop = asyncio.get_running_loop()
        self._abandoned = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        page = self._fetch(start)
        while start <= self._height:
            lines = page.result()
            if not lines:
                raise LedgerCorrupt(f"the gateway does not give block {start}", start)
            page = self._fetch(start + len(lines))
            for line in lines[: self._height + 1 - start]:
                if self._abandoned.is_set():
                    raise _Abandoned
                try:
                    block = self._kind.block_of_line(line)
                except ValueError as error:
                    raise LedgerCorrupt(f"the gateway gives no block {start}: {error}", start) from None
                yield block
                start += 1

    def finished(self, height: int) -> None:
        """A block was replayed."""
        if self._on_block is not None:
            self._loop.call_soon_threadsafe(self._on_block, height + 1, self._height + 1)

    def abandon(self) -> None:
        """Make the thread end."""
        self._abandoned.set()

    def _fetch(self, start: int) -> concurrent.futures.Future[list[bytes]]:
        limit = min(_PAGE_BLOCKS, self._height + 1 - start)

        async def fetch() -> list[bytes]:
            if limit < 1:
                return []
            return await self._party.patience("read the ledger", lambda: self._party.gateway.blocks(start, limit))

        return asyncio.run_coroutine_threadsafe(fetch(), self._loop)
