"""Courses that things take on a ledger: together they make every transition and every effect of the table happen.

Each is for a consortium of three organisations with a silo each, and verifiers of HospitalB and HospitalC. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from consilo.identity.identity import Identity
from consilo.protocol.access import reference_of
from consilo.protocol.values import Role
from tests.simulated_members import authority, identity
from tests.simulators import Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
VERIFIER_B, VERIFIER_C = "HospitalB/verifier", "HospitalC/verifier"
DAY_MS: Final = 24 * 3_600_000


def everything_once(c: Consortium) -> None:
    """Every kind of transaction."""
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    c.reject_run("HospitalC")
    c.publish_global()
    c.close()
    c.reopen_round(None, {A: "unavailable"})
    model = c.complete_round()
    c.attest_global(VERIFIER_B, "ok", model)
    c.report_evaluation(A, model)
    c.record_access("HospitalA/auditor", reference_of(model))
    c.revoke_member(C)
    c.register_organisation("HospitalC", stores=["new.example"])
    c.publish_updates(A)
    c.stop_run("HospitalA")


def active_at_once_and_finished(c: Consortium) -> None:
    """One approval is enough, others come late; the last global ends the run."""
    c.proposed(approvals_required=1, rounds=1)
    c.publish_global()
    c.publish_updates()
    c.approve_run("HospitalB")
    with c.refused("not-in-cohort"):
        c.publish_update(B)
    c.close_round()
    c.publish_global()
    with c.refused("run-finished"):
        c.stop_run("HospitalB")


def rejected(c: Consortium) -> None:
    """Too few are left."""
    c.proposed()
    c.approve_run("HospitalC")
    c.reject_run("HospitalB")
    with c.refused("run-rejected"):
        c.publish_global()


def stopped_by_many(c: Consortium) -> None:
    """None of them has proposed the run."""
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    c.publish_global()
    c.stop_run("HospitalB")
    c.publish_update(A)
    c.stop_run("HospitalC")
    with c.refused("run-stopped"):
        c.publish_update(B)


def closed_when_the_grace_is_over(c: Consortium) -> None:
    """To the millisecond."""
    c.running()
    c.publish_updates(A)
    c.advance(3)
    c.publish_updates(B)
    at = c.attempt.closable_from
    assert at is not None
    c.clock = at - 1
    with c.refused("too-early"):
        c.close_round(C)
    c.clock = at
    c.close_round(C)
    with c.refused("round-closed"):
        c.publish_update(C)


def closed_when_the_deadline_is_over(c: Consortium) -> None:
    """With no more than the minimum, by a silo; what was selected makes the next global."""
    c.running(minimum=1, threshold=3)
    c.publish_updates(B)
    c.pass_deadline()
    c.advance(-1)
    with c.refused("too-early"):
        c.close_round(B)
    c.advance(1)
    with c.refused("nothing-to-reopen"):
        c.reopen_round(B)
    c.close_round(B)
    c.publish_global("HospitalB/aggregator")


def reopened_when_the_deadline_is_over(c: Consortium) -> None:
    """To the millisecond, by anyone who takes part; a late update counts no more."""
    c.running(minimum=2, threshold=2)
    c.publish_update(A)
    late = c.make.publish_update(B)
    c.pass_deadline()
    c.advance(-1)
    with c.refused("nothing-to-reopen"):
        c.reopen_round("HospitalC/operator")
    c.advance(1)
    c.reopen_round("HospitalC/operator")
    with c.refused("attempt-superseded"):
        c.send(late)
    with c.refused("already-published"):
        c.publish_update(A)
    c.complete_round()


def reopened_when_no_global_came(c: Consortium) -> None:
    """The aggregator that closed the round was not heard of again."""
    c.running()
    c.close()
    c.pass_deadline()
    c.reopen_round(C)
    c.close_round("HospitalB/aggregator")
    c.publish_global("HospitalB/aggregator")


def updates_are_excluded_and_replaced(c: Consortium) -> None:
    """What carries over cannot be published again; what does not can."""
    c.running()
    c.close()
    c.reopen_round(None, {A: "digest-mismatch", C: "not-finite"})
    with c.refused("already-published"):
        c.publish_update(B)
    c.publish_update(A, num_samples=20)
    c.publish_update(C, num_samples=30)
    c.close_round()
    c.publish_global()


def attested(c: Consortium) -> None:
    """Rounds wait for attestations, and so does the end."""
    c.running(attestations_required=2, mismatches_to_annul=1, rounds=2)
    for _ in range(2):
        c.close()
        c.publish_global()
        c.attest_global(VERIFIER_B)
        with c.refused("already-attested"):
            c.attest_global(VERIFIER_B, detail="still")
        c.attest_global(VERIFIER_C)


def annulled(c: Consortium) -> None:
    """A round is made again from the updates that were there, after the run had ended."""
    c.running(rounds=2)
    wrong = c.complete_round()
    c.complete_round()
    c.attest_global(VERIFIER_C, "mismatch", wrong)
    with c.refused("global-annulled"):
        c.attest_global(VERIFIER_B, "ok", wrong)
    c.close_round()
    c.publish_global()
    c.complete_round()


def selected_by_a_metric(c: Consortium) -> None:
    """The best two of a cohort that is drawn."""
    c.running(
        rounds=3,
        cohort={"kind": "fraction", "fraction": "0.9"},
        selection={"policy": "top_k", "metric": "accuracy", "k": 2, "order": "highest"},
        minimum=1,
    )
    for accuracy in ("0.5", "0.75"):
        for place, silo in enumerate(c.attempt.opening.cohort):
            c.publish_update(silo, metrics={"accuracy": accuracy if place else "0.9"}, num_samples=100 + place)
        c.close_round()
        c.publish_global()


def read_by_those_who_may(c: Consortium) -> None:
    """Each artifact once per reader, whoever else reads it, and however often it is asked for."""
    c.running()
    initial = c.latest
    c.publish_updates()
    update = reference_of(c.attempt.updates[0])
    c.record_access(VERIFIER_B, update, reference_of(initial))
    c.record_access(VERIFIER_B, update)
    c.record_access("HospitalA/auditor", update)
    with c.refused("access-not-allowed"):
        c.record_access("HospitalX/silo", reference_of(initial))
    c.close_round()
    c.report_evaluation(C, initial)


def certificates_are_revoked_and_renewed(c: Consortium) -> None:
    """By the operator, whose own may be next."""
    c.running()
    c.revoke_member(A)
    with c.refused("certificate-revoked"):
        c.publish_update(A)
    c.make.identities[A] = identity(A, "silo", f"{c.make.label} renewed")
    c.publish_update(A)
    c.revoke_member("HospitalA/operator")
    with c.refused("certificate-revoked"):
        c.stop_run("HospitalA")


def certificates_run_out_and_begin(c: Consortium) -> None:
    """At the transaction's time, whenever the ledger's machines think that it is."""
    c.running()
    c.make.identities[A] = _valid_until(c.clock - c.clock % 1000 + 10_000, "HospitalA", "silo", "silo")
    c.make.identities[B] = _valid_from(c.clock - c.clock % 1000 + 10_000, "HospitalB", "silo", "silo")
    with c.refused("certificate-expired"):
        c.publish_update(B)
    again = c.make.report_evaluation(A)
    c.send(again)
    c.clock = c.make.identities[B].certificate.not_before
    c.publish_update(B)
    c.clock = c.make.identities[A].certificate.not_after + 1000
    with c.refused("certificate-expired"):
        c.publish_update(A)
    assert c.send(again).repeated


def registered_again_with_other_roots(c: Consortium) -> None:
    """Members of a root count for as long as it is registered."""
    other = authority("HospitalB", f"{c.make.label} other root")
    operator = other.issue("operator", "operator", now=c.clock)
    own = authority("HospitalB")
    c.proposed()
    with c.refused("certificate-untrusted"):
        c.approve_run("HospitalB", by=operator)
    c.register_organisation("HospitalB", roots=[_text(own.roots[0]), _text(other.roots[0])])
    c.approve_run("HospitalB", by=operator)
    c.register_organisation("HospitalB")
    with c.refused("certificate-untrusted"):
        c.stop_run("HospitalB", by=operator)


def two_runs_side_by_side(c: Consortium) -> None:
    """Nothing of one counts in the other."""
    first = c.make.run
    c.running()
    late = c.make.publish_update(A)
    c.make.run = f"{first}-beside"
    with c.refused("run-unknown"):
        c.publish_update(A)
    c.running()
    with c.refused("run-exists"):
        c.propose_run(rounds=7)
    c.publish_update(A)
    c.send(late)


def _valid_until(end: int, msp: str, role: Role, name: str) -> Identity:
    return authority(msp).issue(role, name, now=end - DAY_MS, validity_days=1)


def _valid_from(start: int, msp: str, role: Role, name: str) -> Identity:
    return authority(msp).issue(role, name, now=start, backdate_seconds=0)


def _text(root: bytes) -> str:
    return base64.b64encode(root).decode()


SCENARIOS: Final[dict[str, Callable[[Consortium], None]]] = {
    scenario.__name__.replace("_", "-"): scenario
    for scenario in (
        everything_once,
        active_at_once_and_finished,
        rejected,
        stopped_by_many,
        closed_when_the_grace_is_over,
        closed_when_the_deadline_is_over,
        reopened_when_the_deadline_is_over,
        reopened_when_no_global_came,
        updates_are_excluded_and_replaced,
        attested,
        annulled,
        selected_by_a_metric,
        read_by_those_who_may,
        certificates_are_revoked_and_renewed,
        certificates_run_out_and_begin,
        registered_again_with_other_roots,
        two_runs_side_by_side,
    )
}
"""All of them by name."""
