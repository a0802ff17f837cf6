"""Status and summaries: what the records add up to, at every point of a run."""

from __future__ import annotations

import pytest

from consilo.protocol import keys
from consilo.protocol.records import GlobalModel, RoundEntry
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState
from consilo.protocol.views import round_summary, run_names, run_status
from tests.simulators import Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"


class CountingState(DictState):
    """Counts the reads of single records."""

    reads = 0

    def get(self, key: str) -> bytes | None:
        self.reads += 1
        return super().get(key)


def test_a_run_that_was_not_proposed_has_no_status() -> None:
    c = Consortium(silos=1)
    for view in (lambda: run_status(c.state, "trial"), lambda: round_summary(c.state, "trial", 0)):
        with pytest.raises(Refusal) as caught:
            view()
        assert caught.value.code == "run-unknown"
    assert run_names(c.state) == []


def test_before_the_initial_global_there_is_neither_model_nor_attempt() -> None:
    c = Consortium(silos=2)
    c.active()
    assert (c.status.latest, c.status.attempt, c.status.generation, c.status.attestations) == (None, None, 0, ())
    assert c.status.specification_digest == c.status.proposal.specification.digest()
    with pytest.raises(Refusal) as caught:
        round_summary(c.state, "trial", 0)
    assert caught.value.code == "attempt-not-open"


def test_an_open_attempt_tells_who_has_published_and_from_when_on_what_is_possible() -> None:
    c = Consortium(silos=3)
    c.running()
    assert c.attempt.closable_from is None
    c.publish_updates(A, B)
    attempt = c.attempt
    assert [update.member for update in attempt.updates] == [A, B]
    assert attempt.closable_from == c.clock + 10_000
    assert attempt.reopenable_from == attempt.opening.deadline_at
    assert attempt.selection is None
    c.publish_update(C)
    assert c.attempt.updates_digest != attempt.updates_digest
    c.close_round()
    assert c.attempt.selection is not None
    assert c.attempt.reopenable_from == c.attempt.selection.publish_by


def test_what_the_status_says_is_possible_is_possible_from_that_moment_on_and_not_before() -> None:
    c = Consortium(silos=3)
    c.running(minimum=2)
    c.publish_update(A)
    c.advance(7)
    c.publish_update(B)
    closable = c.attempt.closable_from
    assert closable is not None
    c.clock = closable - 1
    with c.refused("too-early"):
        c.close_round()
    c.clock = closable
    c.close_round()
    c.clock = c.attempt.reopenable_from - 1
    with c.refused("nothing-to-reopen"):
        c.reopen_round()
    c.clock = c.attempt.reopenable_from
    c.reopen_round()


def test_the_latest_global_is_the_one_made_even_while_its_attestations_are_awaited() -> None:
    c = Consortium(silos=2, verifiers=2)
    c.running(attestations_required=2, rounds=1)
    c.close()
    c.publish_global()
    c.attest_global("HospitalA/verifier")
    assert c.latest.round == 1
    assert c.status.attempt is None
    assert [attestation.verifier for attestation in c.status.attestations] == ["HospitalA/verifier"]
    c.attest_global("HospitalB/verifier")
    assert c.run_state() == "finished"
    assert c.status.attempt is None


def test_decisions_are_listed_by_organisation() -> None:
    c = Consortium(silos=4)
    c.proposed(approvals_required=2)
    c.reject_run("HospitalD")
    c.approve_run("HospitalC")
    c.stop_run("HospitalB")
    status = c.status
    assert [decision.msp for decision in status.approvals] == ["HospitalA", "HospitalC"]
    assert [decision.msp for decision in status.rejections] == ["HospitalD"]
    assert [decision.msp for decision in status.stops] == ["HospitalB"]


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
def test_the_latest_round_is_found_however_many_there_were(rounds: int) -> None:
    c = Consortium(silos=1)
    c.running(rounds=20)
    for done in range(rounds):
        assert c.attempt.opening.round == done
        c.complete_round()
    assert c.latest.round == rounds


def test_the_three_hundredth_round_is_looked_up_as_fast_as_the_first() -> None:
    c = Consortium(silos=1)
    c.running(rounds=9_999)
    opening = c.attempt.opening
    records: dict[str, bytes] = {}
    for round_number in range(1, 301):  # as they would be after three hundred rounds
        records[keys.entry("trial", 0, round_number)] = RoundEntry(attempt=1).encode()
        records[keys.opening("trial", round_number, 1)] = opening.model_copy(update={"round": round_number}).encode()
    state = CountingState(c.state.ledger)
    state.commit({**c.state.records, **records})
    status = run_status(state, "trial")
    assert status.attempt is not None
    assert status.attempt.opening.round == 300
    assert state.reads < 60


def test_after_an_annulment_the_status_is_that_of_the_new_generation() -> None:
    c = Consortium(silos=2)
    c.running(rounds=5)
    models = [c.complete_round() for _ in range(4)]
    c.attest_global("HospitalB/verifier", "mismatch", models[2])
    assert (c.status.generation, c.attempt.opening.round, c.latest) == (1, 2, models[1])
    for round_number in (2, 3, 4):
        assert c.attempt.opening.round == round_number
        c.close()
        c.publish_global()
    assert c.run_state() == "finished"


def test_a_round_is_summed_up_by_its_last_attempt() -> None:
    c = Consortium(silos=2)
    c.running(rounds=2)
    c.close()
    c.reopen_round(None, {B: "malformed"})
    summary = round_summary(c.state, "trial", 0)
    assert (summary.opening.attempt, summary.model, summary.selection) == (2, None, None)
    assert [update.member for update in summary.updates] == [A]
    model = c.complete_round()
    c.attest_global("HospitalB/verifier", "ok", model)
    c.report_evaluation(A, model)
    summary = round_summary(c.state, "trial", 0)
    assert summary.round == 0
    assert summary.model == model
    assert summary.selection is not None
    assert summary.selection.selected == model.inputs
    assert [attestation.verifier for attestation in summary.attestations] == ["HospitalB/verifier"]
    assert [evaluation.member for evaluation in summary.evaluations] == [A]
    assert len(c.all(GlobalModel)) == 2
