"""A ledger behind its port, held against the table of transitions in memory: every answer, event and record.

One ledger serves all cases, since a Fabric network is too dear for each. So a case has a run, certificates and a
stretch of time of its own, and sees nothing of the others but the registered organisations. I/O: the ledger's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any, TypeVar

from consilo.api.models import CommittedEvent, Position
from consilo.protocol import keys
from consilo.protocol.apply import Event, Outcome, apply
from consilo.protocol.queries import Page, Records
from consilo.protocol.records import Applied
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState, read
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from services.ledger.port import Commit, Ledger
from tests.contract.ledger_recording import Asked, RecordedConsortium
from tests.simulated_members import START_MS
from tests.simulators import Consortium

T = TypeVar("T")

BEGINNING = Position(height=0, index=0)
PAGE = 1000
DEADLINE_SECONDS = 60

Told = tuple[str, str, bool]
"""What a refusal says: code, message, retryable."""


class Clock:
    """The clock of every part of a ledger that tells transactions' times; it stands until it is set."""

    def __init__(self, now: int = START_MS) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass(frozen=True)
class ReadBlock:
    """What a block, as the port gives it, says by itself.

    Attributes:
        hash: computed from its bytes.
        previous: hash of the block before; None in block 0.
        transactions: their ids; None in the places of those that changed nothing.
    """

    hash: str
    previous: str | None
    transactions: tuple[str | None, ...]


class LedgerUnderTest:
    """One ledger and all its gateways.

    Attributes:
        kind: `embedded` or `fabric`.
        gateways: adapters by organisation; those of an embedded ledger are one.
        clock: of all gateways.
        state: what the ledger must hold, by the table of transitions.
        committed: time and event of all admitted transactions, in order.
        read_block: reads what `Ledger.blocks` gives.
        late: opens one more gateway to the same ledger, which knows nothing yet.
        max_transaction_bytes: canonical bytes of the largest transaction that it takes.
    """

    def __init__(
        self,
        gateways: Mapping[str, Ledger],
        clock: Clock,
        read_block: Callable[[bytes], ReadBlock],
        late: Callable[[], AbstractAsyncContextManager[Ledger]],
        max_transaction_bytes: int,
    ) -> None:
        self.gateways = dict(gateways)
        first = next(iter(self.gateways.values()))
        self.kind = first.kind
        self.name = first.name
        self.clock = clock
        self.state = DictState(self.name)
        self.committed: list[tuple[int, Event]] = []
        self.read_block = read_block
        self.late = late
        self.max_transaction_bytes = max_transaction_bytes
        self._turns = cycle(self.gateways.values())
        self._height = 0
        self._cases = 0

    def consortium(self, case: str, silos: int = 3, **layout: Any) -> RecordedConsortium:
        """A consortium of HospitalA, HospitalB and HospitalC for one case, that joins this ledger now."""
        self._cases += 1
        run = f"{case}-{self._cases}"
        shared = DictState(self.name)
        for prefix in ("organisation/", "revocation/"):
            shared.commit(dict(self.state.range(prefix, keys.end_of(prefix))))
        settings = {"organisations": 3, "verifiers": 2, **layout}
        return RecordedConsortium(silos, **settings, state=shared, clock=self.clock.now, run=run, label=run)

    def next_gateway(self) -> Ledger:
        """Each in turn."""
        return next(self._turns)

    async def caught_up(self, gateway: Ledger) -> Ledger:
        """The gateway, once it knows all that was committed through any."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await gateway.wait_after(self._height - 1)
        return gateway

    async def reader(self) -> Ledger:
        """The next gateway, caught up."""
        return await self.caught_up(self.next_gateway())

    # Playing

    async def play(self, asked: Sequence[Asked]) -> None:
        """Ask the ledger what a simulation was asked: all answers, all events and all records must be the same.

        Each transaction goes through the next gateway, but for those that need the word of their organisation's own.
        """
        since = await (await self.reader()).end()
        before = len(self.committed)
        for each in asked:
            gateway = self.next_gateway()
            if each.vouched:
                gateway = self.gateways[organisation_of(each.transaction.payload.member)]
                await self._ask_in_vain(next(self._turns), gateway, each)
            await self.ask(gateway, each)
        assert await self.events_after(since) == self.committed[before:]
        await self.check_records([each.transaction for each in asked])

    async def ask(self, gateway: Ledger, asked: Asked) -> None:
        """Hand in one transaction; the answer must be that of the simulation."""
        self.clock.now = asked.time
        await self.caught_up(gateway)
        answer = await handed_in(gateway, asked.transaction)
        what = asked.transaction.payload.type
        if isinstance(asked.answer, Refusal):
            assert isinstance(answer, Refusal), f"{what} was admitted, and not refused with {asked.answer.code}"
            assert told(answer) == told(asked.answer)
            return
        assert isinstance(answer, Commit), f"{what} was refused with {told(answer)}"
        assert answer.repeated == asked.answer.repeated
        assert answer.repeated or answer.time == asked.time
        await self.note(gateway, asked.transaction, answer, asked.answer)

    async def _ask_in_vain(self, gateway: Ledger, own: Ledger, asked: Asked) -> None:
        """Through another gateway than their organisation's own, the ledger does not vouch for the sender."""
        if gateway is own:
            return
        try:
            apply(self.state, asked.transaction, asked.time, vouched=False)
        except Refusal as refusal:
            await self.ask(gateway, replace(asked, answer=refusal))

    async def note(self, gateway: Ledger, transaction: Transaction, commit: Commit, outcome: Outcome) -> None:
        """Keep what was admitted, and check the receipt against it."""
        self.state.commit(outcome.writes)
        if outcome.event is not None:
            self.committed.append((commit.time, outcome.event))
        assert (commit.transaction, commit.time) == (transaction.id, self._applied_at(transaction))
        assert commit.head.ledger == self.name
        assert await gateway.hash_at(commit.head.height) == commit.head.hash
        assert (await gateway.head()).height >= commit.head.height >= self._height
        self._height = commit.head.height

    def _applied_at(self, transaction: Transaction) -> int:
        applied = read(self.state, keys.transaction(transaction.id), Applied)
        assert applied is not None
        return applied.applied_at

    async def race(
        self, consortium: RecordedConsortium, *transactions: Transaction, through: Sequence[Ledger] = ()
    ) -> list[Commit | Refusal]:
        """Hand in all at the same instant; some order of them, that of the events, must explain all answers.

        Args:
            consortium: whose transactions these are; afterwards its simulation stands where the ledger does.
            transactions: the same may stand there more than once.
            through: the gateway of each; by default each in turn.
        """
        assert not consortium.take(), "what was asked before must have been played"
        self.clock.now = consortium.clock
        for gateway in self.gateways.values():
            await self.caught_up(gateway)
        since = await self.next_gateway().end()
        ways = through or list(islice(self._turns, len(transactions)))
        answers = await asyncio.gather(*map(handed_in, ways, transactions))
        admitted = [answer for answer in answers if isinstance(answer, Commit)]
        self._height = max([self._height, *(commit.head.height for commit in admitted)])
        events = await self.events_after(since)
        by_id = {transaction.id: transaction for transaction in transactions}
        possible = [_refusals(consortium, by_id)]
        for _, event in events:
            outcome = consortium.send(by_id[event.transaction])
            self.state.commit(outcome.writes)
            assert outcome.event is not None
            self.committed.append((consortium.clock, outcome.event))
            possible.append(_refusals(consortium, by_id))
        consortium.take()
        assert events == self.committed[len(self.committed) - len(events) :]
        for transaction, answer in zip(transactions, answers, strict=True):
            if isinstance(answer, Refusal):
                assert told(answer) in [refusals.get(transaction.id) for refusals in possible]
            else:
                assert (answer.transaction, answer.time) == (transaction.id, self._applied_at(transaction))
        first = sorted(commit.transaction for commit in admitted if not commit.repeated)
        assert first == sorted(event.transaction for _, event in events)
        await self.check_records(transactions)
        return answers

    # Reading

    async def events_after(self, place: Position) -> list[tuple[int, Event]]:
        """Time and event of all that came after a place."""
        return [(found.time, found.event) for found in await all_events(await self.reader(), place)]

    async def records(self, prefix: str, *, gateway: Ledger | None = None) -> dict[str, bytes]:
        """All records whose keys start with a prefix."""
        gateway = gateway or await self.reader()
        found: dict[str, bytes] = {}
        after: str | None = ""
        while after is not None:
            page = await gateway.query("records", Page(prefix=prefix, after=after, limit=PAGE))
            assert isinstance(page, Records)
            found.update((entry.key, entry.record.encode()) for entry in page.records)
            after = page.after
        return found

    async def check_records(self, transactions: Sequence[Transaction]) -> None:
        """The records that these transactions can have made are there, and no others beside them."""
        gateway = await self.reader()
        runs = {str(transaction.payload.body.get("run")) for transaction in transactions} - {"None"}
        for prefix in ("organisation/", "revocation/", *(f"run/{run}/" for run in sorted(runs))):
            expected = dict(self.state.range(prefix, keys.end_of(prefix)))
            assert await self.records(prefix, gateway=gateway) == expected
        for transaction in transactions:
            key = keys.transaction(transaction.id)
            page = await gateway.query("records", Page(prefix="transaction/", after=key[:-1], limit=1))
            assert isinstance(page, Records)
            found = {entry.key: entry.record.encode() for entry in page.records}
            assert found.get(key) == self.state.get(key)


def told(refusal: Refusal) -> Told:
    """What a refusal says."""
    return refusal.code, refusal.message, refusal.retryable


async def handed_in(gateway: Ledger, transaction: Transaction) -> Commit | Refusal:
    """The answer to a transaction, whatever it is."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            return await gateway.submit(transaction)
        except Refusal as refusal:
            return refusal


async def all_events(gateway: Ledger, place: Position, limit: int = PAGE) -> list[CommittedEvent]:
    """All events after a place, read in pages."""
    found: list[CommittedEvent] = []
    while page := await gateway.events(found[-1].position if found else place, limit):
        assert len(page) <= limit
        for each in page:
            last = found[-1].position if found else place
            assert _order(last) < _order(each.position), "events come twice, or out of order"
            found.append(each)
    return found


async def within(awaitable: Awaitable[T]) -> T:
    """What comes of it, before the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await awaitable


def _order(place: Position) -> tuple[int, int]:
    return place.height, place.index


def _refusals(consortium: Consortium, transactions: Mapping[str, Transaction]) -> dict[str, Told]:
    """By id: how each transaction would be refused now; those that would be admitted are left out."""
    found: dict[str, Told] = {}
    for name, transaction in transactions.items():
        try:
            apply(consortium.state, transaction, consortium.clock)
        except Refusal as refusal:
            found[name] = told(refusal)
    return found
