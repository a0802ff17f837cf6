"""Verifiers: attestations that open rounds, and annulments that roll a run back."""

from __future__ import annotations

import pytest

from consilo.protocol.access import may_read, reference_of
from consilo.protocol.records import Generation, GlobalModel, Opening, Update
from tests.simulated_requests import GRACE_MS
from tests.simulators import Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
VERIFIERS = ("HospitalA/verifier", "HospitalB/verifier", "HospitalC/verifier")


def _consortium() -> Consortium:
    return Consortium(silos=3, verifiers=3)


def test_the_next_round_opens_with_the_last_attestation_that_is_required() -> None:
    c = _consortium()
    c.running(attestations_required=2, mismatches_to_annul=2)
    c.close()
    assert c.publish_global().event.effects == ("global-published",)
    assert c.status.attempt is None
    assert c.latest.round == 1
    assert c.attest_global(VERIFIERS[0]).event.effects == ()
    assert c.attest_global(VERIFIERS[1]).event.effects == ("round-opened",)
    assert c.attempt.opening.round == 1
    assert c.attest_global(VERIFIERS[2], model=c.latest).event.effects == ()


def test_while_attestations_are_awaited_nobody_can_go_on_or_back() -> None:
    c = _consortium()
    c.running(attestations_required=1)
    c.close()
    c.publish_global()
    c.advance(10**9)
    for transaction, code in (
        (c.make.publish_update(A, round=1), "attempt-not-open"),
        (c.make.reopen_round(A), "global-exists"),
        (c.make.reopen_round(None, {A: "malformed"}), "global-exists"),
        (c.make.publish_global("HospitalB/aggregator", round=1), "global-exists"),
    ):
        with c.refused(code):
            c.send(transaction)


def test_the_last_global_finishes_the_run_only_when_it_is_attested() -> None:
    c = _consortium()
    c.running(rounds=1, attestations_required=1)
    c.close()
    c.publish_global()
    assert c.run_state() == "active"
    assert c.attest_global(VERIFIERS[2]).event.effects == ("run-finished",)
    assert c.run_state() == "finished"


def test_the_initial_global_needs_no_attestation_and_takes_none() -> None:
    c = _consortium()
    c.running(attestations_required=1)
    assert c.attempt.opening.round == 0
    with c.refused("malformed"):
        c.attest_global(VERIFIERS[0])


def test_verifiers_that_disagree_still_let_the_run_go_on() -> None:
    c = _consortium()
    c.running(attestations_required=2, mismatches_to_annul=2)
    c.close()
    c.publish_global()
    c.attest_global(VERIFIERS[0], "mismatch")
    c.attest_global(VERIFIERS[1], "ok")
    assert c.status.attempt is None
    c.attest_global(VERIFIERS[2], "ok")
    assert c.attempt.opening.round == 1


def test_an_annulled_global_is_made_again_from_the_same_updates() -> None:
    c = _consortium()
    c.running()
    wrong = c.complete_round()
    c.publish_update(A)
    outcome = c.attest_global(VERIFIERS[0], "mismatch", wrong)
    assert outcome.event.effects == ("global-annulled", "round-opened")
    opening = c.attempt.opening
    assert (opening.round, opening.attempt, opening.generation, opening.reason) == (0, 2, 1, "annulled")
    assert c.latest.round == 0
    with c.refused("attempt-superseded"):
        c.publish_update(B, round=1, attempt=1, base=wrong.artifact.sha256)
    c.close_round()
    c.publish_global()
    assert c.latest.inputs == wrong.inputs
    assert (c.latest.round, c.latest.attempt, c.latest.generation) == (1, 2, 1)
    assert (c.attempt.opening.round, c.attempt.opening.attempt) == (1, 2)
    assert c.attempt.updates == (), "what was trained on the annulled global does not count"


def test_one_mismatch_is_not_enough_where_two_are_asked_for() -> None:
    c = _consortium()
    c.running(mismatches_to_annul=2)
    model = c.complete_round()
    assert c.attest_global(VERIFIERS[0], "mismatch", model).event.effects == ()
    assert c.attempt.opening.round == 1
    with c.refused("already-attested"):
        c.attest_global(VERIFIERS[0], "mismatch", model, detail="still")
    c.attest_global(VERIFIERS[1], "mismatch", model)
    assert c.attempt.opening.round == 0


def test_an_annulment_long_after_rolls_back_all_that_descends_from_the_global() -> None:
    c = _consortium()
    c.running(rounds=4)
    models = [c.complete_round() for _ in range(3)]
    c.publish_update(A)
    c.attest_global(VERIFIERS[0], "mismatch", models[0])
    assert (c.status.generation, c.attempt.opening.round, c.latest.round) == (1, 0, 0)
    for model in models:
        with c.refused("global-annulled"):
            c.attest_global(VERIFIERS[1], "mismatch", model)
    c.continue_honestly()
    standing = [model for model in c.all(GlobalModel) if model.generation == 1]
    assert [model.round for model in standing] == [1, 2, 3, 4]


def test_annulments_upon_annulments_go_back_and_forth_through_the_generations() -> None:
    c = _consortium()
    c.running(rounds=4)
    first, second, _third = (c.complete_round() for _ in range(3))
    c.attest_global(VERIFIERS[0], "mismatch", second)
    assert (c.status.generation, c.attempt.opening.round, c.latest) == (1, 1, first)
    c.close_round()
    c.publish_global()
    c.complete_round()
    # The first global is of generation 0 and still stands, below those of generation 1.
    c.attest_global(VERIFIERS[0], "mismatch", first)
    assert (c.status.generation, c.attempt.opening.round) == (2, 0)
    c.close_round()
    c.publish_global()
    again = c.latest
    c.complete_round()
    c.attest_global(VERIFIERS[1], "mismatch", again)
    assert (c.status.generation, c.attempt.opening.round) == (3, 0)
    c.continue_honestly()
    assert [(record.generation, record.round) for record in c.all(Generation)] == [(1, 2), (2, 1), (3, 1)]
    assert len({(opening.round, opening.attempt) for opening in c.all(Opening)}) == len(c.all(Opening))


def test_annulling_the_last_global_opens_a_finished_run_again() -> None:
    c = _consortium()
    c.running(rounds=2)
    c.complete_round()
    last = c.complete_round()
    assert c.run_state() == "finished"
    stop = c.make.stop_run("HospitalA")
    with c.refused("run-finished"):
        c.send(stop)
    c.attest_global(VERIFIERS[0], "mismatch", last)
    assert c.run_state() == "active"
    assert c.attempt.opening.round == 1
    other = c.copy()
    assert other.send(stop).event is not None
    c.close_round()
    assert c.publish_global().event.effects == ("global-published", "run-finished")
    assert c.run_state() == "finished"


def test_in_a_stopped_run_an_annulment_voids_the_global_and_opens_nothing() -> None:
    c = _consortium()
    c.running(rounds=3)
    first, second = c.complete_round(), c.complete_round()
    c.stop_run("HospitalA")
    assert c.attest_global(VERIFIERS[0], "mismatch", second).event.effects == ("global-annulled",)
    assert (c.run_state(), c.status.generation, c.status.latest, c.status.attempt) == ("stopped", 1, first, None)
    assert c.attest_global(VERIFIERS[1], "mismatch", first).event.effects == ("global-annulled",)
    assert c.latest.round == 0
    assert c.status.generation == 2


def test_in_a_stopped_run_attestations_open_no_round() -> None:
    c = _consortium()
    c.running(attestations_required=1)
    c.close()
    c.publish_global()
    c.stop_run("HospitalA")
    assert c.attest_global(VERIFIERS[0]).event.effects == ()
    assert c.run_state() == "stopped"
    assert c.status.attempt is None


def test_exclusions_outlast_an_annulment() -> None:
    c = _consortium()
    c.running()
    c.close()
    c.reopen_round(None, {C: "malformed"})
    c.advance(GRACE_MS)
    c.close_round()
    c.publish_global()
    c.attest_global(VERIFIERS[0], "mismatch")
    assert [reference.member for reference in c.attempt.opening.carried] == [A, B]
    c.publish_update(C)
    c.close_round()
    assert c.attempt.selection is not None
    assert [selected.attempt for selected in c.attempt.selection.selected] == [1, 1, 3]


def test_an_annulment_before_a_reopened_round_takes_the_next_free_attempt() -> None:
    c = _consortium()
    c.running(rounds=3)
    first = c.complete_round()
    for _ in range(2):
        c.pass_deadline()
        c.reopen_round()
    assert (c.attempt.opening.round, c.attempt.opening.attempt) == (1, 3)
    c.attest_global(VERIFIERS[0], "mismatch", first)
    c.close_round()
    c.publish_global()
    assert (c.attempt.opening.round, c.attempt.opening.attempt) == (1, 4)
    c.continue_honestly()


def test_annulled_artifacts_can_still_be_read_and_evaluated() -> None:
    c = _consortium()
    c.running()
    model = c.complete_round()
    update = c.all(Update)[0]
    c.attest_global(VERIFIERS[0], "mismatch", model)
    c.record_access(VERIFIERS[1], reference_of(model), reference_of(update))
    c.report_evaluation(A, model)
    assert may_read(c.state, "trial", VERIFIERS[1], reference_of(update))


@pytest.mark.parametrize("verdict", ["ok", "mismatch"])
def test_only_verifiers_that_the_run_names_attest(verdict: str) -> None:
    c = _consortium()
    c.running(verifiers=VERIFIERS[:1])
    c.complete_round()
    with c.refused("organisation-not-named"):
        c.attest_global(VERIFIERS[1], verdict)
    with c.refused("role-not-allowed"):
        c.attest_global("HospitalA/operator", verdict)
    with c.refused("global-unknown"):
        c.attest_global(VERIFIERS[0], verdict, sha256="0" * 64)
