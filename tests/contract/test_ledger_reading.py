"""What every ledger tells of itself: answers, blocks, hashes, events, and when there is something new."""

from __future__ import annotations

import asyncio

import pytest

from consilo.api.models import Position
from consilo.protocol import keys
from consilo.protocol.model import Record
from consilo.protocol.queries import QUERIES, NoArguments, answer
from consilo.protocol.refusals import Refusal
from consilo.protocol.selection import updates_digest
from consilo.protocol.views import RunStatus
from services.ledger.port import Ledger, LedgerUnavailable
from tests.contract.ledger_questions import questions
from tests.contract.ledger_scenarios import SCENARIOS
from tests.contract.ledger_under_test import BEGINNING, LedgerUnderTest, Told, all_events, told, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_query_is_answered_as_by_the_records_in_memory(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("asked")
    SCENARIOS["everything-once"](c)
    await ledger.play(c.take())
    refused = 0
    for name, arguments in questions(c).items():
        for each in arguments:
            expected = _expected(ledger, name, each)
            found = await _found(await ledger.reader(), name, each)
            assert found == expected
            if isinstance(found, Record):
                assert type(found) is QUERIES[name].answer
            else:
                refused += 1
    assert refused == 6


async def test_all_that_is_on_the_ledger_is_what_all_cases_have_made(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("all-of-it")
    SCENARIOS["two-runs-side-by-side"](c)
    await ledger.play(c.take())
    for gateway in ledger.gateways.values():
        await ledger.caught_up(gateway)
        found: dict[str, bytes] = {}
        for prefix in ("organisation/", "revocation/", "transaction/", "runs/", "run/"):
            found |= await ledger.records(prefix, gateway=gateway)
        assert found == ledger.state.records


async def test_a_query_sees_one_state_while_others_are_written(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("one-state", silos=8)
    c.running(threshold=8)
    await ledger.play(c.take())
    (question,) = questions(c)["run_status"][:1]
    over = asyncio.Event()
    seen: set[int] = set()

    async def look() -> None:
        while not over.is_set():
            status = await ledger.next_gateway().query("run_status", question)
            assert isinstance(status, RunStatus)
            assert status.attempt is not None
            assert status.attempt.updates_digest == updates_digest(status.attempt.updates)
            assert (status.attempt.closable_from is not None) == (len(status.attempt.updates) >= 6)
            seen.add(len(status.attempt.updates))

    looking = asyncio.create_task(look())
    for silo in c.layout.silos:
        c.publish_update(silo)
    await ledger.play(c.take())
    over.set()
    await within(looking)
    assert len(seen) > 2


# Events


async def test_events_go_on_after_any_place(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("resumed")
    start = await (await ledger.reader()).end()
    SCENARIOS["everything-once"](c)
    await ledger.play(c.take())
    for gateway in ledger.gateways.values():
        await ledger.caught_up(gateway)
        events = await all_events(gateway, start)
        assert len(events) == len(c.admitted)
        places = [(each.position.height, each.position.index) for each in events]
        assert places == sorted(set(places))
        for limit in (1, 3, 1000):
            assert await all_events(gateway, start, limit) == events
        for passed, each in enumerate(events, 1):
            assert await gateway.events(each.position, 1000) == events[passed:]
            assert await gateway.events(each.position, 2) == events[passed : passed + 2]


async def test_all_events_from_the_beginning_on_are_those_of_all_cases(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("from-the-beginning")
    c.running()
    await ledger.play(c.take())
    assert await ledger.events_after(BEGINNING) == ledger.committed


async def test_the_end_is_the_place_where_the_next_event_comes(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("the-end")
    c.proposed()
    await ledger.play(c.take())
    gateway = await ledger.reader()
    end = await gateway.end()
    assert end == Position.of_cursor(end.cursor())
    assert end.height <= (await gateway.head()).height
    assert await gateway.events(end, 10) == []
    transaction = c.make.approve_run("HospitalB")
    c.send(transaction)
    await ledger.play(c.take())
    (event,) = await (await ledger.caught_up(gateway)).events(end, 10)
    assert event.event.transaction == transaction.id
    assert await gateway.events(await gateway.end(), 10) == []


async def test_a_place_in_the_middle_of_a_block_is_not_the_end_of_it(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("in-the-middle", silos=8)
    c.running()
    await ledger.play(c.take())
    start = await (await ledger.reader()).end()
    await ledger.race(c, *(c.make.publish_update(silo) for silo in c.layout.silos))
    gateway = await ledger.reader()
    events = await all_events(gateway, start)
    assert len(events) == 8
    for passed, each in enumerate(events, 1):
        assert await gateway.events(each.position, 1000) == events[passed:]


# Waiting


async def test_who_waits_for_what_is_there_waits_no_longer(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("no-wait")
    c.proposed()
    await ledger.play(c.take())
    gateway = await ledger.reader()
    height = (await gateway.head()).height
    for past in range(height):
        await within(gateway.wait_after(past))
    await within(gateway.wait_after(-1))


async def test_all_who_wait_hear_of_a_commit_and_not_before(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("waiting")
    c.proposed()
    await ledger.play(c.take())
    waiters = []
    for gateway in ledger.gateways.values():
        await ledger.caught_up(gateway)
        end = await gateway.end()
        waiters += [asyncio.create_task(gateway.wait_after(end.height)) for _ in range(25)]
    for gateway in ledger.gateways.values():
        await gateway.events(await gateway.end(), 10)  # time for those who wait to be woken too early
    assert not any(waiter.done() for waiter in waiters)
    waiters.pop().cancel()
    c.approve_run("HospitalB")
    await ledger.play(c.take())
    await within(asyncio.gather(*waiters))


# Blocks


async def test_blocks_are_a_chain_whose_hashes_anyone_can_compute(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("chained")
    c.running()
    await ledger.play(c.take())
    gateway = await ledger.reader()
    head = await gateway.head()
    assert head.ledger == ledger.name
    previous = None
    for height, line in enumerate(await _all_blocks(ledger)):
        assert b"\n" not in line
        block = ledger.read_block(line)
        assert block.previous == previous
        assert await gateway.hash_at(height) == block.hash
        assert await gateway.blocks(height, 1) == [line]
        previous = block.hash
    assert previous == head.hash


async def test_blocks_hold_what_was_committed_once_and_where_the_events_say(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("held")
    SCENARIOS["everything-once"](c)
    await ledger.play(c.take())
    blocks = [ledger.read_block(line).transactions for line in await _all_blocks(ledger)]
    held = [transaction for transactions in blocks for transaction in transactions if transaction is not None]
    assert held == [event.transaction for _, event in ledger.committed]
    for each in await all_events(await ledger.reader(), BEGINNING):
        assert blocks[each.position.height][each.position.index] == each.event.transaction


async def test_there_are_no_blocks_but_those_up_to_the_head(ledger: LedgerUnderTest) -> None:
    gateway = await ledger.reader()
    head = await gateway.head()
    for height in (head.height + 1, 2**40, 2**53 - 1):
        if ledger.kind == "fabric":  # where another gateway may have it already
            with pytest.raises(LedgerUnavailable) as behind:
                await gateway.hash_at(height)
            assert behind.value.code == "ledger-behind"
        else:
            assert await gateway.hash_at(height) is None
        assert await gateway.blocks(height, 10) == []
    assert await gateway.hash_at(head.height) == head.hash


# Gateways


async def test_a_gateway_that_is_closed_takes_and_answers_nothing(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("closed")
    async with ledger.late() as gateway:
        await ledger.caught_up(gateway)
    with pytest.raises(LedgerUnavailable):
        await within(gateway.query("run_names", NoArguments()))
    with pytest.raises(LedgerUnavailable):
        await within(gateway.submit(c.make.propose_run()))


async def test_a_gateway_that_comes_late_tells_all_that_was_before(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("late")
    c.running()
    await ledger.play(c.take())
    async with ledger.late() as gateway:
        await ledger.caught_up(gateway)
        await within(gateway.check())
        assert (gateway.kind, gateway.name) == (ledger.kind, ledger.name)
        assert await all_events(gateway, BEGINNING) == await all_events(await ledger.reader(), BEGINNING)
        assert await gateway.head() == await (await ledger.reader()).head()
        assert await ledger.records("run/", gateway=gateway) == dict(ledger.state.range("run/", keys.end_of("run/")))


def _expected(ledger: LedgerUnderTest, name: str, arguments: Record) -> Record | Told:
    try:
        return answer(ledger.state, name, arguments)
    except Refusal as refusal:
        return told(refusal)


async def _found(gateway: Ledger, name: str, arguments: Record) -> Record | Told:
    try:
        return await within(gateway.query(name, arguments))
    except Refusal as refusal:
        return told(refusal)


async def _all_blocks(ledger: LedgerUnderTest) -> list[bytes]:
    gateway = await ledger.reader()
    lines: list[bytes] = []
    while page := await gateway.blocks(len(lines), 50):
        assert len(page) <= 50
        lines += page
    assert len(lines) == (await gateway.head()).height + 1
    return lines
