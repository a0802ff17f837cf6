"""What every ledger does with transactions that it admits, and with those that it has admitted before."""

from __future__ import annotations

import asyncio

import pytest

from consilo.protocol.apply import Outcome
from consilo.protocol.queries import OfRun
from consilo.protocol.refusals import Refusal
from services.ledger.port import Commit
from tests.contract.ledger_recording import Asked, again
from tests.contract.ledger_scenarios import SCENARIOS
from tests.contract.ledger_under_test import DEADLINE_SECONDS, LedgerUnderTest, handed_in
from tests.simulators import OUTSIDER

pytestmark = pytest.mark.asyncio(loop_scope="session")

LARGE_BYTES = 2_500_000
"""Recorded twice over, in the request and in the record: more than gRPC takes unless it is told to."""


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_happens_is_what_the_table_of_transitions_says(ledger: LedgerUnderTest, name: str) -> None:
    c = ledger.consortium(name)
    SCENARIOS[name](c)
    await ledger.play(c.take())


async def test_the_same_request_right_after_it_was_admitted_changes_nothing(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("right-after")
    SCENARIOS["everything-once"](c)
    await ledger.play([each for asked in c.take() for each in (asked, again(asked))])


async def test_the_same_request_when_all_is_over_changes_nothing_however_it_is_signed(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("when-all-is-over")
    SCENARIOS["everything-once"](c)
    asked = c.take()
    await ledger.play(asked)
    before = await (await ledger.reader()).head()
    admitted = [each for each in asked if isinstance(each.answer, Outcome)]
    later = [Asked(each.transaction, c.clock, False, each.answer) for each in admitted]
    # The certificates of some were revoked meanwhile.
    anew = [again(each, c.make.identity(each.transaction.payload.member)) for each in later]
    assert not {each.transaction.signature for each in anew} & {each.transaction.signature for each in admitted}
    await ledger.play([*map(again, later), *anew])
    assert await (await ledger.reader()).head() == before


async def test_a_request_that_could_never_be_admitted_now_is_still_the_same_request(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("long-past")
    c.running(rounds=1)
    c.complete_round()
    asked = c.take()
    await ledger.play(asked)
    await ledger.play([again(each) for each in asked])


async def test_a_refused_request_is_admitted_once_what_it_lacked_is_there(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("early")
    proposal, approval = c.make.propose_run(), c.make.approve_run("HospitalB")
    with c.refused("run-unknown"):
        c.send(approval)
    c.send(proposal)
    c.send(approval)
    await ledger.play(c.take())


async def test_what_another_gateway_does_not_know_yet_is_refused_for_the_moment_only(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("in-a-hurry")
    SCENARIOS["everything-once"](c)
    asked = c.take()
    for each in asked:
        assert isinstance(each.answer, Outcome)
        ledger.clock.now = each.time
        gateway = ledger.next_gateway()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while isinstance(answer := await handed_in(gateway, each.transaction), Refusal):
                assert answer.retryable
        await ledger.note(gateway, each.transaction, answer, each.answer)
    await ledger.check_records([each.transaction for each in asked])


async def test_a_run_with_a_large_specification_is_agreed_on_and_read(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("large")
    c.running(task={"name": "digits", "version": "1", "parameters": {"text": "x" * LARGE_BYTES}})
    await ledger.play(c.take())
    for gateway in ledger.gateways.values():
        status = await (await ledger.caught_up(gateway)).query("run_status", OfRun(run=c.make.run))
        assert status == c.status


async def test_time_as_it_is_recorded_never_goes_back(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("clock-set-back")
    c.running()
    await ledger.play(c.take())
    transaction = c.make.publish_update("HospitalA/silo")
    now, gateway = c.clock, await ledger.reader()
    ledger.clock.now = now - 30_000
    commit = await handed_in(gateway, transaction)
    assert isinstance(commit, Commit)
    # A ledger may keep its own time from going back too; a record's is never before that of what it follows.
    assert commit.time in (now - 30_000, now)
    c.clock = commit.time
    await ledger.note(gateway, transaction, commit, c.send(transaction))
    assert c.attempt.updates[0].published_at == c.attempt.opening.opened_at == now
    await ledger.check_records([transaction])
    ledger.clock.now = now


async def test_an_organisation_is_registered_only_by_the_way_that_its_ledger_vouches_for(
    ledger: LedgerUnderTest,
) -> None:
    c = ledger.consortium("vouched")
    with c.refused("registration-not-vouched"):
        c.register_organisation("HospitalZ")
    # Once it is registered, its operator's signature is enough: any gateway will do.
    c.register_organisation(OUTSIDER, stores=[f"store.{c.make.run}.example"])
    await ledger.play(c.take())
