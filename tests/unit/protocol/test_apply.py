"""The state machine as a whole: the same request again, atomicity, events, replay."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.protocol import keys
from consilo.protocol.access import reference_of
from consilo.protocol.apply import apply
from consilo.protocol.records import Applied
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState, writes_digest
from consilo.protocol.transaction import Payload, Transaction
from consilo.protocol.transitions.table import TRANSITIONS
from tests.simulated_members import identity
from tests.simulators import Consortium


def _eventful() -> Consortium:
    """A consortium on whose ledger every kind of transaction was admitted."""
    c = Consortium(silos=3, verifiers=2)
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    c.reject_run("HospitalC")
    c.publish_global()
    c.close()
    c.reopen_round(None, {"HospitalA/silo": "unavailable"})
    model = c.complete_round()
    c.attest_global("HospitalB/verifier", "ok", model)
    c.report_evaluation("HospitalA/silo", model)
    c.record_access("HospitalA/auditor", reference_of(model))
    c.revoke_member("HospitalC/silo")
    c.publish_updates("HospitalA/silo")
    c.stop_run("HospitalA")
    return c


def test_every_kind_of_transaction_can_be_admitted() -> None:
    assert {admitted.transaction.payload.type for admitted in _eventful().admitted} == set(TRANSITIONS)


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_the_same_request_again_succeeds_and_changes_nothing(kind: str) -> None:
    c = _eventful()
    before = dict(c.state.records)
    for admitted in c.admitted:
        if admitted.transaction.payload.type == kind:
            outcome = c.send(admitted.transaction)
            assert outcome.repeated
            assert (outcome.writes, outcome.event) == ({}, None)
    assert c.state.records == before


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_the_same_request_again_succeeds_right_after_it_was_admitted(kind: str) -> None:
    c = _eventful()
    again = Consortium(silos=3, verifiers=2)
    for admitted in c.admitted:
        again.clock = admitted.time
        again.send(admitted.transaction, vouched=admitted.vouched)
        if admitted.transaction.payload.type == kind:
            assert again.send(admitted.transaction).repeated


def test_a_request_signed_anew_is_the_same_request() -> None:
    c = Consortium(silos=2)
    c.running()
    c.publish_update("HospitalA/silo")
    again = c.make.publish_update("HospitalA/silo")
    assert again.signature != c.admitted[-1].transaction.signature
    assert c.send(again).repeated


def test_the_same_request_succeeds_when_the_certificate_has_meanwhile_expired() -> None:
    c = _eventful()
    c.advance(identity("HospitalA/silo").certificate.not_after + 1 - c.clock)
    for admitted in c.admitted:
        assert c.send(admitted.transaction).repeated


def test_the_same_request_succeeds_when_the_certificate_has_meanwhile_been_revoked() -> None:
    c = Consortium(silos=2)
    c.running()
    c.publish_update("HospitalA/silo")
    published = c.admitted[-1].transaction
    c.revoke_member("HospitalA/silo")
    assert c.send(published).repeated
    c.revoke_member("HospitalA/operator")
    assert c.send(c.admitted[-1].transaction).repeated


def test_the_same_request_succeeds_when_its_time_has_long_passed() -> None:
    c = Consortium(silos=2)
    c.running(rounds=1)
    c.complete_round()
    for admitted in c.admitted:
        assert c.send(admitted.transaction).repeated


def test_the_same_request_by_another_member_is_another_request() -> None:
    c = Consortium(silos=2)
    c.running()
    c.close()
    c.publish_global("HospitalA/aggregator")
    body = c.admitted[-1].transaction.payload.body
    with c.refused("global-exists"):
        c.send(c.make.sign("HospitalB/aggregator", "publish_global", body))


def test_that_a_payload_was_applied_is_recorded_with_its_member_and_time() -> None:
    c = Consortium(silos=1)
    c.advance(5)
    c.propose_run()
    data = c.state.get(keys.transaction(c.admitted[-1].transaction.id))
    assert data is not None
    assert Applied.decode(data) == Applied(member="HospitalA/operator", applied_at=c.clock)


def test_an_event_tells_what_happened_to_those_who_watch() -> None:
    c = Consortium(silos=2)
    c.running()
    c.close()
    event = c.publish_global().event
    assert event.transaction == c.admitted[-1].transaction.id
    assert (event.type, event.member) == ("publish_global", "HospitalA/aggregator")
    assert (event.run, event.round, event.attempt) == ("trial", 1, 1)
    assert event.effects == ("global-published", "round-opened")
    event = c.revoke_member("HospitalB/silo").event
    assert (event.run, event.round, event.attempt, event.effects) == (None, None, None, ())


def test_all_announced_effects_come_about() -> None:
    seen: dict[str, set[str]] = {kind: set() for kind in TRANSITIONS}

    def collect(c: Consortium, outcome: Any) -> None:
        seen[outcome.event.type].update(outcome.event.effects)

    c = Consortium(silos=1)
    collect(c, c.propose_run(rounds=1, attestations_required=1))
    collect(c, c.publish_global())
    c.pass_deadline()
    collect(c, c.reopen_round())
    c.publish_updates()
    collect(c, c.close_round())
    c.publish_global()
    collect(c, c.attest_global())
    c.make.run = "second"
    c.running(rounds=2, attestations_required=1)
    c.close()
    c.publish_global()
    collect(c, c.attest_global())
    c.close()
    c.publish_global()
    collect(c, c.attest_global(None, "mismatch"))
    collect(c, c.stop_run("HospitalA"))
    c.make.run = "third"
    c.running(rounds=1)
    c.close()
    collect(c, c.publish_global())
    c = Consortium(silos=2)
    c.proposed()
    collect(c, c.copy().approve_run("HospitalB"))
    collect(c, c.reject_run("HospitalB"))
    assert seen == {kind: set(row.effects) for kind, row in TRANSITIONS.items()}


def test_replaying_the_transactions_gives_the_same_records() -> None:
    c = _eventful()
    state = DictState(c.state.ledger)
    for admitted in c.admitted:
        outcome = apply(state, admitted.transaction, admitted.time, vouched=admitted.vouched)
        assert writes_digest(outcome.writes) == admitted.writes
        state.commit(outcome.writes)
    assert state.records == c.state.records


def test_a_transaction_of_an_unknown_kind_is_malformed() -> None:
    c = Consortium(silos=1)
    with c.refused("malformed"):
        c.send(c.make.sign("HospitalA/operator", "delete_run", {"run": "trial"}))


@pytest.mark.parametrize("value", [1.5, 2**60, "\ud800", [[1.5]]])
def test_a_body_without_canonical_form_is_a_refusal_too(value: Any) -> None:
    c = Consortium(silos=1)
    good = c.make.stop_run("HospitalA")
    payload = Payload(ledger="simulation", member="HospitalA/operator", type="stop_run", body={"run": value})
    with c.refused("malformed"):
        c.send(good.model_copy(update={"payload": payload}))


def test_a_specification_of_another_version_of_the_rules_is_refused_as_such() -> None:
    c = Consortium(silos=1)
    with c.refused("rules-unknown"):
        c.propose_run(rules=7)


@pytest.mark.parametrize("deadline_ms", [2**53 - 1, 2**52])
def test_no_duration_makes_a_time_that_cannot_be_recorded(deadline_ms: int) -> None:
    c = Consortium(silos=1)
    with c.refused("malformed"):
        c.propose_run(deadline_ms=deadline_ms)
    c.running(deadline_ms=100 * 365 * 24 * 3_600_000, grace_ms=100 * 365 * 24 * 3_600_000)
    c.continue_honestly()


def test_a_transaction_counts_by_its_content_and_not_by_the_object_that_holds_it() -> None:
    c = Consortium(silos=1)
    transaction = c.make.propose_run()
    c.send(Transaction.parse(transaction.encode(), max_bytes=100_000))
    assert c.send(transaction).repeated
    with pytest.raises(Refusal):
        apply(DictState("simulation"), transaction, c.clock)
