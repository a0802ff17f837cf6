"""Every code of the table of refusals is met, by at least one attack or fault each."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from consilo.protocol import keys
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import GlobalArtifact
from consilo.protocol.records import Opening, Update
from consilo.protocol.refusals import REFUSALS, InvalidInput, Refusal
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import COMMON_REFUSALS, TRANSITIONS
from tests.forgeries import tampered, with_certificates
from tests.simulated_members import (
    early_identity,
    expired_identity,
    identity,
    impostor_identity,
    nameless_certificate,
)
from tests.simulated_requests import artifact
from tests.simulators import OUTSIDER, Consortium

Way = Callable[[Consortium], Transaction]

SILO_A, SILO_B, SILO_C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
VERIFIER_B, VERIFIER_C = "HospitalB/verifier", "HospitalC/verifier"

WAYS: dict[str, Way] = {}
"""By code: what makes a transaction that is refused with it."""


def way(code: str) -> Callable[[Way], Way]:
    def register(function: Way) -> Way:
        assert code not in WAYS
        WAYS[code] = function
        return function

    return register


@way("malformed")
def _(c: Consortium) -> Transaction:
    return c.make.sign("HospitalA/operator", "stop_run", {"run": "trial"})


@way("rules-unknown")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(rules=2)


@way("wrong-ledger")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.sign(SILO_A, "publish_update", c.make.publish_update(SILO_A).payload.body, ledger="another")


@way("organisation-unknown")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run("HospitalZ/operator", initial=artifact("HospitalA", "initial"))


@way("certificate-malformed")
def _(c: Consortium) -> Transaction:
    return with_certificates(c.make.propose_run(), b"0\x82")


@way("certificate-untrusted")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(by=impostor_identity("HospitalA/operator"))


@way("certificate-expired")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(by=expired_identity("HospitalA/operator"))


@way("certificate-role-missing")
def _(c: Consortium) -> Transaction:
    return with_certificates(c.make.propose_run(), nameless_certificate("HospitalA"))


@way("certificate-revoked")
def _(c: Consortium) -> Transaction:
    c.running()
    c.revoke_member(SILO_A)
    return c.make.publish_update(SILO_A)


@way("signature-invalid")
def _(c: Consortium) -> Transaction:
    c.running()
    return tampered(c.make.publish_update(SILO_A), num_samples=999)


@way("member-mismatch")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(by=identity("HospitalA/operator-2"))


@way("role-not-allowed")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(SILO_A)


@way("registration-not-vouched")
def _(c: Consortium) -> Transaction:
    return c.make.register_organisation("HospitalZ")


@way("registration-version")
def _(c: Consortium) -> Transaction:
    return c.make.register_organisation("HospitalA", version=3)


@way("registration-exists")
def _(c: Consortium) -> Transaction:
    return c.make.register_organisation("HospitalA", version=1, stores=[])


@way("already-revoked")
def _(c: Consortium) -> Transaction:
    c.revoke_member(SILO_A)
    return c.make.revoke_member(SILO_A, reason="another reason")


@way("run-exists")
def _(c: Consortium) -> Transaction:
    c.proposed()
    return c.make.propose_run(rounds=3)


@way("run-unknown")
def _(c: Consortium) -> Transaction:
    return c.make.publish_global()


@way("organisation-not-named")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(f"{OUTSIDER}/silo")


@way("specification-mismatch")
def _(c: Consortium) -> Transaction:
    c.proposed()
    return c.make.approve_run("HospitalB", specification="0" * 64)


@way("already-voted")
def _(c: Consortium) -> Transaction:
    c.proposed(approvals_required=1)
    c.reject_run("HospitalB")
    return c.make.approve_run("HospitalB")


@way("run-not-active")
def _(c: Consortium) -> Transaction:
    c.proposed()
    return c.make.publish_global()


@way("run-rejected")
def _(c: Consortium) -> Transaction:
    c.proposed()
    c.reject_run("HospitalB")
    return c.make.publish_global()


@way("run-stopped")
def _(c: Consortium) -> Transaction:
    c.running()
    c.stop_run("HospitalA")
    return c.make.publish_update()


@way("run-finished")
def _(c: Consortium) -> Transaction:
    c.running(rounds=1)
    c.complete_round()
    return c.make.stop_run("HospitalA")


@way("already-stopped")
def _(c: Consortium) -> Transaction:
    c.running()
    c.stop_run("HospitalB")
    return c.make.stop_run("HospitalB", reason="another reason")


@way("organisation-not-approved")
def _(c: Consortium) -> Transaction:
    c.proposed(approvals_required=1)
    c.publish_global()
    return c.make.publish_update(SILO_C)


@way("attempt-not-open")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(round=1)


@way("attempt-superseded")
def _(c: Consortium) -> Transaction:
    c.running()
    late = c.make.publish_update(SILO_A)
    c.pass_deadline()
    c.reopen_round()
    return late


@way("not-in-cohort")
def _(c: Consortium) -> Transaction:
    c.running(cohort={"kind": "count", "count": 2})
    return c.make.publish_update(next(silo for silo in c.layout.silos if silo not in c.attempt.opening.cohort))


@way("round-closed")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_updates(SILO_A, SILO_B)
    c.pass_deadline()
    c.close_round()
    return c.make.publish_update(SILO_C)


@way("already-published")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_update(SILO_A)
    return c.make.publish_update(SILO_A, num_samples=11)


@way("base-mismatch")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(base="0" * 64)


@way("artifact-mismatch")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(SILO_A, artifact=artifact("HospitalB", "somewhere-else"))


@way("too-many-samples")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(num_samples=1001)


@way("updates-changed")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_updates(SILO_A, SILO_B)
    close = c.make.close_round()
    c.publish_update(SILO_C)
    return close


@way("too-early")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_updates(SILO_A, SILO_B)
    return c.make.close_round()


@way("selection-too-small")
def _(c: Consortium) -> Transaction:
    c.running(selection={"policy": "at_least", "metric": "accuracy", "value": "0.95"})
    c.publish_updates()
    return c.make.close_round()


@way("round-not-closed")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_global()


@way("exclusion-unknown")
def _(c: Consortium) -> Transaction:
    c.running()
    c.close()
    return c.make.reopen_round(excluded={f"{OUTSIDER}/silo": "unavailable"})


@way("nothing-to-reopen")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.reopen_round()


@way("attempts-exhausted")
def _(c: Consortium) -> Transaction:
    c.running()
    last = c.all(Opening)[-1].model_copy(update={"attempt": 9_999})
    c.state.commit({keys.opening("trial", 0, 9_999): last.encode()})
    c.pass_deadline()
    return c.make.reopen_round(attempt=9_999)


@way("global-exists")
def _(c: Consortium) -> Transaction:
    c.running()
    c.close()
    second = c.make.publish_global("HospitalB/aggregator")
    c.publish_global("HospitalA/aggregator")
    return second


@way("global-unknown")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.report_evaluation(sha256="0" * 64)


@way("global-annulled")
def _(c: Consortium) -> Transaction:
    c.running()
    late = c.make.attest_global(VERIFIER_B, model=c.complete_round())
    c.attest_global(VERIFIER_C, "mismatch")
    return late


@way("initial-mismatch")
def _(c: Consortium) -> Transaction:
    c.active()
    return c.make.publish_global(artifact=artifact("HospitalA", "not-the-initial-one"))


@way("selection-mismatch")
def _(c: Consortium) -> Transaction:
    c.running()
    c.close()
    inputs = c.attempt.selection.selected if c.attempt.selection else ()
    return c.make.publish_global(inputs=inputs[:-1])


@way("already-attested")
def _(c: Consortium) -> Transaction:
    c.running()
    c.complete_round()
    c.attest_global(VERIFIER_C, "ok")
    return c.make.attest_global(VERIFIER_C, "mismatch")


@way("already-evaluated")
def _(c: Consortium) -> Transaction:
    c.running()
    c.report_evaluation(SILO_A)
    return c.make.report_evaluation(SILO_A, num_samples=6)


@way("artifact-unknown")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.record_access(SILO_A, GlobalArtifact(kind="global", round=1, attempt=1, sha256="0" * 64))


@way("access-not-allowed")
def _(c: Consortium) -> Transaction:
    c.running()
    c.publish_update(SILO_A)
    return c.make.record_access(SILO_B, reference_of(c.all(Update)[0]))


def test_there_is_a_way_to_every_code() -> None:
    # `too-large` comes from reading bytes, before there is a transaction: below.
    assert {*WAYS, "too-large"} == set(REFUSALS)


@pytest.mark.parametrize("code", WAYS)
def test_a_refusal_has_the_code_of_its_cause(code: str) -> None:
    c = Consortium(silos=3, verifiers=2)
    transaction = WAYS[code](c)
    with c.refused(code):
        c.send(transaction)


@pytest.mark.parametrize("code", WAYS)
def test_a_refused_transaction_is_refused_again_and_leaves_no_mark(code: str) -> None:
    c = Consortium(silos=3, verifiers=2)
    transaction = WAYS[code](c)
    for _ in range(2):
        with c.refused(code):
            c.send(transaction)
    assert c.state.get(keys.transaction(transaction.id)) is None


def test_bytes_beyond_the_limit_are_too_large() -> None:
    data = Consortium().make.propose_run().encode()
    assert Transaction.parse(data, max_bytes=len(data)).encode() == data
    with pytest.raises(InvalidInput) as caught:
        Transaction.parse(data, max_bytes=len(data) - 1)
    assert caught.value.code == "too-large"


def test_a_certificate_counts_only_from_its_first_moment_on() -> None:
    c = Consortium()
    early = early_identity("HospitalA/operator")
    transaction = c.make.propose_run(by=early)
    with c.refused("certificate-expired"):
        c.send(transaction)
    c.advance(early.certificate.not_before - c.clock)
    c.send(transaction)


def test_codes_are_words_and_hyphens_and_every_meaning_is_a_sentence() -> None:
    for code, kind in REFUSALS.items():
        assert kind.code == code
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert kind.meaning[0].isupper()
        assert kind.meaning.endswith(".")


def test_a_refusal_knows_whether_it_is_worth_trying_again() -> None:
    assert Refusal("too-early", "wait").retryable
    assert not Refusal("round-closed", "over").retryable


def test_every_code_is_announced_by_some_transition() -> None:
    announced = {code for row in TRANSITIONS.values() for code in row.refusals}
    assert announced | set(COMMON_REFUSALS) == set(REFUSALS)
