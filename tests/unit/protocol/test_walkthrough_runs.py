"""A run from its proposal to its end: approvals, rejections, stopping; and members who only look on."""

from __future__ import annotations

from consilo.protocol.access import may_read, reference_of
from consilo.protocol.bodies import GlobalArtifact
from consilo.protocol.records import Access, Evaluation, Opening, Update
from consilo.protocol.views import run_names
from tests.simulated_requests import artifact
from tests.simulators import OUTSIDER, Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"


def test_a_run_is_active_when_the_last_approval_that_it_needs_has_come() -> None:
    c = Consortium(silos=3)
    outcome = c.propose_run(approvals_required=2)
    assert outcome.event.effects == ()
    assert c.run_state() == "proposed"
    with c.refused("run-not-active"):
        c.publish_global()
    assert c.approve_run("HospitalC").event.effects == ("run-activated",)
    assert c.run_state() == "active"


def test_a_run_that_needs_one_approval_has_it_with_its_proposal() -> None:
    c = Consortium(silos=1)
    assert c.propose_run().event.effects == ("run-activated",)
    assert run_names(c.state) == ["trial"]


def test_only_silos_of_organisations_that_approved_are_asked() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    c.publish_global()
    assert c.attempt.opening.cohort == (A, B)
    with c.refused("organisation-not-approved"):
        c.publish_update(C)


def test_an_approval_that_comes_late_lets_the_silos_in_from_the_next_attempt_on() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    c.publish_global()
    assert c.approve_run("HospitalC").event.effects == ()
    with c.refused("not-in-cohort"):
        c.publish_update(C)
    c.complete_round()
    assert c.attempt.opening.cohort == (A, B, C)


def test_the_same_organisation_approves_once_whichever_operator_asks() -> None:
    c = Consortium(silos=2)
    c.proposed()
    second = c.make.sign("HospitalB/operator-2", "approve_run", c.make.approve_run("HospitalB").payload.body)
    c.approve_run("HospitalB")
    with c.refused("already-voted"):
        c.send(second)


def test_a_run_is_rejected_when_too_few_are_left_to_approve_it() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=2)
    assert c.reject_run("HospitalB").event.effects == ()
    assert c.run_state() == "proposed"
    assert c.reject_run("HospitalC").event.effects == ("run-rejected",)
    assert c.run_state() == "rejected"
    for transaction in (c.make.publish_global(), c.make.publish_update(A), c.make.close_round()):
        with c.refused("run-rejected"):
            c.send(transaction)


def test_a_rejection_does_not_end_a_run_that_is_active_already() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    assert c.reject_run("HospitalC").event.effects == ()
    c.continue_honestly()
    assert [decision.msp for decision in c.status.rejections] == ["HospitalC"]


def test_a_run_waits_for_the_approval_of_an_aggregator() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=1, aggregators=["HospitalC/aggregator"])
    assert c.run_state() == "proposed"
    c.approve_run("HospitalB")
    assert c.run_state() == "proposed"
    c.approve_run("HospitalC")
    assert c.run_state() == "active"
    c.continue_honestly()


def test_a_run_is_rejected_when_all_who_could_aggregate_reject_it() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=1, aggregators=["HospitalC/aggregator"])
    assert c.reject_run("HospitalC").event.effects == ("run-rejected",)
    assert c.run_state() == "rejected"


def test_a_run_waits_until_as_many_silos_approve_as_a_round_needs() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=1, minimum=2, threshold=2)
    assert c.run_state() == "proposed"
    c.approve_run("HospitalB")
    assert c.run_state() == "active"


def test_a_run_waits_for_the_verifiers_without_whom_no_round_would_open() -> None:
    c = Consortium(silos=3, verifiers=2)
    c.proposed(approvals_required=1, attestations_required=1, mismatches_to_annul=2)
    c.approve_run("HospitalB")
    assert c.run_state() == "proposed"
    c.approve_run("HospitalC")
    assert c.run_state() == "active"
    c.continue_honestly()


def test_the_proposer_alone_can_stop_a_run() -> None:
    c = Consortium(silos=3)
    c.running()
    assert c.stop_run("HospitalA").event.effects == ("run-stopped",)
    assert c.run_state() == "stopped"


def test_others_stop_a_run_together() -> None:
    c = Consortium(silos=3)
    c.proposed(approvals_required=2)
    c.approve_run("HospitalB")
    assert c.stop_run("HospitalC").event.effects == ()
    assert c.run_state() == "active"
    assert c.stop_run("HospitalB").event.effects == ("run-stopped",)
    assert [decision.msp for decision in c.status.stops] == ["HospitalB", "HospitalC"]


def test_a_stopped_run_trains_no_more_but_what_exists_can_be_read_attested_and_evaluated() -> None:
    c = Consortium(silos=3)
    c.running()
    model = c.complete_round()
    update = c.make.publish_update(A)
    c.stop_run("HospitalA")
    for transaction in (update, c.make.close_round(), c.make.reopen_round(), c.make.publish_global()):
        with c.refused("run-stopped"):
            c.send(transaction)
    c.attest_global("HospitalC/verifier", model=model)
    c.report_evaluation(B, model)
    c.record_access(C, reference_of(model))
    assert may_read(c.state, "trial", C, reference_of(model))
    assert c.status.latest == model


def test_a_run_can_be_stopped_before_it_is_active_and_then_nobody_approves_it() -> None:
    c = Consortium(silos=2)
    c.proposed()
    c.stop_run("HospitalA")
    for transaction in (c.make.approve_run("HospitalB"), c.make.reject_run("HospitalB")):
        with c.refused("run-stopped"):
            c.send(transaction)


def test_a_finished_run_is_over_for_everyone() -> None:
    c = Consortium(silos=2)
    c.running(rounds=1)
    c.complete_round()
    for transaction, code in (
        (c.make.publish_update(A, num_samples=3), "round-closed"),
        (c.make.close_round("HospitalB/aggregator"), "round-closed"),
        (c.make.reopen_round(), "global-exists"),
        (c.make.publish_global("HospitalB/aggregator", round=1), "global-exists"),
        (c.make.publish_global(round=2), "attempt-not-open"),
        (c.make.stop_run("HospitalA"), "run-finished"),
    ):
        with c.refused(code):
            c.send(transaction)
    c.report_evaluation(A)


def test_the_initial_global_is_the_one_that_all_agreed_on_whoever_publishes_it() -> None:
    c = Consortium(silos=2)
    c.active()
    initial = c.status.proposal.specification.initial
    for fields in ({"attempt": 1}, {"inputs": [{"member": A, "attempt": 1, "sha256": "0" * 64, "num_samples": 1}]}):
        with c.refused("initial-mismatch"):
            c.publish_global(**fields)
    c.publish_global("HospitalB/aggregator")
    assert c.latest.artifact == initial
    assert initial.organisation == "HospitalA"


def test_evaluations_are_told_once_by_silos_also_of_globals_long_past() -> None:
    c = Consortium(silos=2)
    c.running(rounds=2)
    initial = c.latest
    c.complete_round()
    c.report_evaluation(A)
    c.report_evaluation(A, initial)
    c.report_evaluation(B, initial, metrics={})
    for member in ("HospitalA/auditor", "HospitalB/aggregator"):
        with c.refused("role-not-allowed"):
            c.report_evaluation(member)
    assert [evaluation.round for evaluation in c.all(Evaluation)] == [0, 0, 1]


def test_members_of_the_run_read_globals_and_only_named_readers_read_updates() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_update(A)
    update, model = reference_of(c.all(Update)[0]), reference_of(c.latest)
    for member in (B, "HospitalC/gateway", "HospitalA/viewer"):
        assert may_read(c.state, "trial", member, model) == member.startswith("HospitalA/")
        c.record_access(member, model)
        assert may_read(c.state, "trial", member, model)
        with c.refused("access-not-allowed"):
            c.record_access(member, update)
    for reader in ("HospitalC/verifier", "HospitalA/auditor"):
        c.record_access(reader, model, update, model)
        assert may_read(c.state, "trial", reader, update)
    with c.refused("access-not-allowed"):
        c.record_access(f"{OUTSIDER}/auditor", model)
    assert len(c.all(Access)) == 3 + 2 * 2


def test_access_is_recorded_all_or_nothing() -> None:
    c = Consortium(silos=3)
    c.running()
    nowhere = GlobalArtifact(kind="global", round=5, attempt=1, sha256="0" * 64)
    with c.refused("artifact-unknown"):
        c.record_access(B, reference_of(c.latest), nowhere)
    assert c.all(Access) == []
    c.record_access(B, reference_of(c.latest))
    c.record_access(B, reference_of(c.latest), reference_of(c.latest))
    assert len(c.all(Access)) == 1


def test_nobody_proposes_an_object_of_another_s_store_as_the_initial_global() -> None:
    c = Consortium(silos=2)
    with c.refused("artifact-mismatch"):
        c.propose_run(initial=artifact("HospitalB", "a-secret-of-theirs"))
    c.propose_run("HospitalB/operator", initial=artifact("HospitalB", "their-own"))


def test_two_runs_on_one_ledger_keep_apart() -> None:
    c = Consortium(silos=2)
    c.running()
    c.close()
    c.make.run = "second"
    c.running(rounds=1)
    assert c.attempt.updates == ()
    c.continue_honestly()
    c.make.run = "trial"
    assert c.attempt.selection is not None
    c.continue_honestly()
    assert run_names(c.state) == ["second", "trial"]
    assert len(c.all(Opening)) == 3
