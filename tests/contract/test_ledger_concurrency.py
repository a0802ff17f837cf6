"""What every ledger makes of requests at the same instant: what it would have made of them one after the other.

`LedgerUnderTest.race` checks that some order explains every answer and every record; a request that lost is refused
with what the rules say to it in that order, never with an error of the ledger.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from consilo.protocol.refusals import Refusal
from services.ledger.port import Commit
from tests.contract.ledger_under_test import LedgerUnderTest, handed_in
from tests.simulated_requests import signed

pytestmark = pytest.mark.asyncio(loop_scope="session")

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
AGGREGATORS = ("HospitalA/aggregator", "HospitalB/aggregator")


def codes(answers: list[Commit | Refusal]) -> list[str]:
    """What became of each: the refusal's code, `repeated` or `admitted`; sorted."""
    words = []
    for answer in answers:
        if isinstance(answer, Refusal):
            words.append(answer.code)
        else:
            words.append("repeated" if answer.repeated else "admitted")
    return sorted(words)


async def test_sixteen_silos_publish_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("sixteen", silos=16)
    c.running()
    await ledger.play(c.take())
    answers = await ledger.race(c, *(c.make.publish_update(silo) for silo in c.layout.silos))
    assert codes(answers) == ["admitted"] * 16
    c.close_round()
    await ledger.play(c.take())


async def test_two_aggregators_close_the_same_round_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("two-close")
    c.running()
    c.publish_updates()
    await ledger.play(c.take())
    answers = await ledger.race(c, *map(c.make.close_round, AGGREGATORS))
    assert codes(answers) == ["admitted", "round-closed"]


async def test_two_aggregators_publish_the_same_global_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("two-publish")
    c.running(rounds=1)
    c.close()
    await ledger.play(c.take())
    answers = await ledger.race(c, *map(c.make.publish_global, AGGREGATORS))
    assert codes(answers) == ["admitted", "global-exists"]


@pytest.mark.parametrize("gateways", ["one", "several"])
async def test_the_same_request_at_the_same_instant_is_admitted_once(ledger: LedgerUnderTest, gateways: str) -> None:
    c = ledger.consortium("same-request")
    c.running()
    await ledger.play(c.take())
    transaction = c.make.publish_update(A)
    anew = signed(transaction.payload, c.make.identity(A))
    through = [ledger.next_gateway()] * 6 if gateways == "one" else ()
    answers = await ledger.race(c, *[transaction, anew] * 3, through=through)
    assert codes(answers) == ["admitted", *["repeated"] * 5]


async def test_a_round_is_closed_while_another_update_comes(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("close-or-update")
    c.running()
    c.publish_updates(A, B)
    at = c.attempt.closable_from
    assert at is not None
    c.clock = at
    await ledger.play(c.take())
    answers = await ledger.race(c, c.make.close_round(), c.make.publish_update(C))
    assert codes(answers) in (["admitted", "round-closed"], ["admitted", "updates-changed"])
    with suppress(Refusal):
        c.close_round("HospitalC/operator")
    await ledger.play(c.take())


async def test_a_round_is_closed_and_reopened_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("close-or-reopen")
    c.running(threshold=2, minimum=2)
    c.publish_updates(A)
    c.pass_deadline()
    await ledger.play(c.take())
    update, reopening = c.make.publish_update(B), c.make.reopen_round(C)
    c.copy().send(update)
    answers = await ledger.race(c, update, reopening)
    assert codes(answers) in (["admitted", "attempt-superseded"], ["admitted", "nothing-to-reopen"])


async def test_the_last_approvals_come_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("approvals")
    c.proposed()
    await ledger.play(c.take())
    answers = await ledger.race(c, c.make.approve_run("HospitalB"), c.make.approve_run("HospitalC"))
    assert codes(answers) == ["admitted", "admitted"]
    assert c.run_state() == "active"


async def test_an_approval_and_a_rejection_of_one_organisation_come_at_the_same_instant(
    ledger: LedgerUnderTest,
) -> None:
    c = ledger.consortium("two-minds")
    c.proposed()
    await ledger.play(c.take())
    answers = await ledger.race(c, c.make.approve_run("HospitalB"), c.make.reject_run("HospitalB"))
    assert codes(answers) == ["admitted", "already-voted"]


async def test_the_attestations_that_a_round_waits_for_come_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("attestations", verifiers=3)
    c.running(attestations_required=2, mismatches_to_annul=2)
    c.close()
    c.publish_global()
    await ledger.play(c.take())
    answers = await ledger.race(c, *map(c.make.attest_global, c.layout.verifiers))
    assert codes(answers) == ["admitted"] * 3
    assert c.attempt.opening.round == 1


async def test_a_global_is_annulled_while_silos_train_on_it(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("annulled-meanwhile")
    c.running()
    c.complete_round()
    await ledger.play(c.take())
    updates = [c.make.publish_update(silo) for silo in c.layout.silos]
    answers = await ledger.race(c, updates[0], c.make.attest_global(None, "mismatch"), *updates[1:])
    assert set(codes(answers)) <= {"admitted", "attempt-superseded"}
    assert isinstance(answers[1], Commit)


async def test_organisations_ask_to_stop_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("stops")
    c.running(approvals_required=2)
    await ledger.play(c.take())
    answers = await ledger.race(c, c.make.stop_run("HospitalB"), c.make.stop_run("HospitalC"))
    assert codes(answers) == ["admitted", "admitted"]
    assert c.run_state() == "stopped"


async def test_many_runs_are_proposed_at_the_same_instant_and_two_of_one_name(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("proposals")
    msps = c.layout.organisations
    proposals = [
        c.make.propose_run(f"{msps[number % 3]}/operator", run=f"{c.make.run}-{number % 11}") for number in range(12)
    ]
    answers = await ledger.race(c, *proposals)
    assert codes(answers) == [*["admitted"] * 11, "run-exists"]


async def test_two_versions_of_an_organisation_are_registered_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("registrations")
    await ledger.play(c.take())
    offers = [c.make.register_organisation("HospitalB", stores=[f"{name}.example"]) for name in ("one", "other")]
    answers = await ledger.race(c, *offers)
    assert codes(answers) == ["admitted", "registration-exists"]


async def test_a_member_is_revoked_while_it_publishes(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("revoked-meanwhile")
    c.running()
    await ledger.play(c.take())
    answers = await ledger.race(c, c.make.publish_update(A), c.make.revoke_member(A))
    assert isinstance(answers[1], Commit)
    assert codes(answers) in (["admitted", "admitted"], ["admitted", "certificate-revoked"])


async def test_everybody_does_everything_at_the_same_instant(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("everything", silos=6)
    c.running(threshold=1, minimum=1)
    c.publish_updates(A)
    c.pass_deadline()
    await ledger.play(c.take())
    others = [c.make.publish_update(silo) for silo in c.layout.silos if silo != A]
    await ledger.race(
        c,
        *others[:2],
        *map(c.make.close_round, AGGREGATORS),
        *others[2:],
        c.make.reopen_round(A),
        c.make.stop_run("HospitalB"),
        c.make.publish_update(A, num_samples=77),
        c.make.report_evaluation(A),
    )


async def test_a_request_that_is_given_up_can_be_made_again(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("given-up")
    c.running()
    await ledger.play(c.take())
    transaction = c.make.publish_update(A)
    gateway = await ledger.reader()
    since = await gateway.end()
    for moments in (0, 1, 2, 8):
        giving_up = asyncio.create_task(handed_in(gateway, transaction))
        for _ in range(moments):
            await asyncio.sleep(0)
        giving_up.cancel()
        with suppress(asyncio.CancelledError):
            await giving_up
    commit = await handed_in(gateway, transaction)
    assert isinstance(commit, Commit)
    await ledger.note(gateway, transaction, commit, c.send(transaction))
    assert await ledger.events_after(since) == ledger.committed[-1:]
    await ledger.check_records([transaction])
