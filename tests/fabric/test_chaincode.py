"""The chaincode behind real peers: ranges of several batches, what is put and told, and restarts on either side."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import pytest
import pytest_asyncio

from consilo.fabric.blocks import decode_block
from consilo.fabric.receipts import Receipt
from consilo.fabric.transactions import FabricTransaction
from consilo.protocol import keys
from consilo.protocol.apply import Event, apply
from consilo.protocol.queries import OfRound, Page
from consilo.protocol.records import Applied
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RoundSummary
from services.ledger.fabric.errors import PeerError
from tests.fabric.direct import DirectConsortium, direct_consortium
from tests.simulated_requests import Layout, Requests

pytestmark = [pytest.mark.fabric, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

SILOS_PER_ORGANISATION: Final = 40
"""120 silos in all: more updates than the 100 records that a peer hands out at once."""
AT_ONCE: Final = 12
DEADLINE_SECONDS: Final = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consortium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DirectConsortium]:
    """Three registered organisations with many silos each."""
    async with direct_consortium(tmp_path_factory.mktemp("chaincode")) as c:
        members = [
            hospital.member("silo", f"silo-{number:02}")
            for hospital in c.hospitals.values()
            for number in range(SILOS_PER_ORGANISATION)
        ]
        old = c.make.layout
        silos = tuple(sorted(identity.member for identity in members))
        layout = Layout(old.organisations, silos, old.aggregators, old.verifiers, old.readers)
        identities = {**c.make.identities, **{identity.member: identity for identity in members}}
        c.make = Requests(c.make.state, layout, identities=identities)
        await c.register(*layout.organisations)
        yield c
        for msp in c.clients:
            assert [line for line in chaincode_log(c, msp) if line.get("level") in ("error", "critical")] == []


async def persistently(c: DirectConsortium, transaction: Transaction) -> None:
    """Put a transaction on the ledger as a gateway would: after any trouble once more, until it is there."""
    msp = organisation_of(transaction.payload.member)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        assert time.monotonic() < deadline, f"{transaction.payload.type} was not admitted in {DEADLINE_SECONDS} s"
        proposal = c.propose(msp, transaction)
        try:
            endorsed = await c.clients[msp].endorse(proposal)
            receipt = Receipt.decode(endorsed.result)
            if receipt.repeated or (await c.order(msp, endorsed)).code == 0:
                break
        except PeerError:
            await asyncio.sleep(0.05)  # a condition with a deadline: that the peers can endorse again
    c.make.state.commit(apply(c.make.state, transaction, receipt.time, vouched=True).writes)


async def all_of(
    c: DirectConsortium,
    transactions: Sequence[Transaction],
    commit: Callable[[DirectConsortium, Transaction], Awaitable[None]] = persistently,
) -> None:
    """Put transactions on the ledger that do not depend on each other, some at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(transaction: Transaction) -> None:
        async with places:
            await commit(c, transaction)

    await asyncio.gather(*(one(transaction) for transaction in transactions))


async def transactions_at(c: DirectConsortium, msp: str) -> list[FabricTransaction]:
    """All transactions in the blocks of an organisation's peer."""
    return [each for block in await c.blocks_of(msp) for each in decode_block(block).transactions]


async def ended(pid: int) -> None:
    """Wait until a process has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert await asyncio.to_thread(poll.poll, DEADLINE_SECONDS * 1000), f"process {pid} does not end"
    finally:
        os.close(descriptor)


def chaincode_log(c: DirectConsortium, msp: str) -> list[dict[str, object]]:
    """What an organisation's chaincode server has logged."""
    text = c.network.organisation(msp).chaincode.log.read_text()
    return [json.loads(line) for line in text.splitlines()]


async def test_a_round_of_more_than_a_hundred_updates_is_closed(consortium: DirectConsortium) -> None:
    c = consortium
    await c.running("many")
    await all_of(c, [c.make.publish_update(silo) for silo in c.make.layout.silos])
    await c.commit(c.make.close_round())
    await c.check_records()
    for msp in c.clients:
        summary: RoundSummary = await c.ask(msp, "round", OfRound(run="many", round=0))
        assert summary.selection is not None
        assert [each.member for each in summary.selection.selected] == list(c.make.layout.silos)


async def test_pages_of_records_are_cut_where_they_are_told_to_be(consortium: DirectConsortium) -> None:
    c = consortium
    await c.running("pages")
    await all_of(c, [c.make.publish_update(silo) for silo in c.make.layout.silos])
    prefix = keys.updates("pages", 0, 1)
    expected = sorted(key for key in c.make.state.records if key.startswith(prefix))
    assert len(expected) > 100
    for limit in (7, 100, 101, 1000):
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await c.ask("HospitalB", "records", Page(prefix=prefix, after=after, limit=limit))
            found += [each.key for each in page.records]
            after = page.after
        assert found == expected


async def test_what_is_put_and_told_is_what_the_state_machine_says(consortium: DirectConsortium) -> None:
    c = consortium
    c.make.run = "told"
    transaction = c.make.propose_run()
    proposal = c.propose("HospitalA", transaction)
    outcome = apply(c.make.state, transaction, proposal.time, vouched=True)
    endorsed = await c.clients["HospitalA"].endorse(proposal)
    receipt = Receipt(transaction=transaction.id, time=proposal.time, repeated=False)
    assert endorsed.result == receipt.encode()
    assert (await c.order("HospitalA", endorsed)).code == 0
    c.make.state.commit(outcome.writes)
    assert outcome.event is not None
    for msp in c.clients:
        (committed,) = [each for each in await transactions_at(c, msp) if each.id == endorsed.transaction_id]
        assert committed.writes == outcome.writes
        assert (committed.event_name, committed.event) == ("consilo", outcome.event.encode())
        assert committed.response == receipt.encode()


async def test_a_repeated_transaction_puts_and_tells_nothing(consortium: DirectConsortium) -> None:
    c = consortium
    c.make.run = "repeated"
    transaction = c.make.propose_run()
    await c.commit(transaction)
    applied = Applied.decode(c.make.state.records[keys.transaction(transaction.id)])
    for msp in ("HospitalA", "HospitalB"):  # whoever brings it
        again = await c.endorse(msp, transaction)
        assert Receipt.decode(again.result) == Receipt(
            transaction=transaction.id, time=applied.applied_at, repeated=True
        )
        assert (await c.order(msp, again)).code == 0
        (committed,) = [each for each in await transactions_at(c, msp) if each.id == again.transaction_id]
        assert (committed.writes, committed.event) == ({}, None)


async def test_a_peer_that_was_killed_finds_the_chaincode_again(consortium: DirectConsortium) -> None:
    c = consortium
    await c.running("peer-killed")
    server = c.network.organisation("HospitalA").chaincode.pid
    silos = [silo for silo in c.make.layout.silos if silo.startswith("HospitalA/")]
    await persistently(c, c.make.publish_update(silos[0]))
    await c.network.kill_peer("HospitalA")
    await c.network.start_peer("HospitalA")
    await all_of(c, [c.make.publish_update(silo) for silo in silos[1:4]])
    assert c.network.organisation("HospitalA").chaincode.pid == server
    told = [line["event"] for line in chaincode_log(c, "HospitalA")]
    assert told.count("a peer has gone") >= 1
    assert told.count("registered with a peer") >= 2
    await c.check_records()


async def test_a_chaincode_that_was_killed_is_used_again(consortium: DirectConsortium) -> None:
    c = consortium
    await c.running("chaincode-killed")
    await c.network.kill_chaincode("HospitalA")
    started = time.monotonic()
    with pytest.raises(PeerError):
        await c.endorse("HospitalA", c.make.publish_update("HospitalA/silo-00"))
    assert time.monotonic() - started < 10, "the caller is told at once"
    # Another's gateway does without it.
    await persistently(c, c.make.publish_update("HospitalB/silo-00"))
    await c.network.start_chaincode("HospitalA")
    await persistently(c, c.make.publish_update("HospitalA/silo-00"))
    await c.check_records()


async def kill(c: DirectConsortium, msp: str) -> None:
    await c.network.kill_chaincode(msp)


async def tell_to_end(c: DirectConsortium, msp: str) -> None:
    pid = c.network.organisation(msp).chaincode.pid
    os.kill(pid, signal.SIGTERM)
    await ended(pid)
    assert chaincode_log(c, msp)[-1]["event"] == "ended"


@pytest.mark.parametrize("end", [kill, tell_to_end], ids=["killed", "told-to-end"])
async def test_a_chaincode_that_ends_under_load_loses_no_transaction_and_doubles_none(
    consortium: DirectConsortium, end: Callable[[DirectConsortium, str], Awaitable[None]]
) -> None:
    c = consortium
    run = f"load-{end.__name__.replace('_', '-')}"
    await c.running(run)
    load = asyncio.create_task(all_of(c, [c.make.publish_update(silo) for silo in c.make.layout.silos]))
    begun = keys.updates(run, 0, 1)
    for msp in ("HospitalA", "HospitalB"):
        before = sum(key.startswith(begun) for key in c.make.state.records)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while sum(key.startswith(begun) for key in c.make.state.records) < before + AT_ONCE:
            assert time.monotonic() < deadline, "the load has stopped"
            await asyncio.sleep(0.01)  # a condition with a deadline: that transactions go through
        assert not load.done(), "the load was over before the chaincode ended"
        await end(c, msp)
        await c.network.start_chaincode(msp)
    await load
    await c.check_records()
    told = [Event.decode(each.event) for each in await transactions_at(c, "HospitalC") if each.valid and each.event]
    published = [event.member for event in told if event.run == run and event.type == "publish_update"]
    assert sorted(published) == list(c.make.layout.silos)
