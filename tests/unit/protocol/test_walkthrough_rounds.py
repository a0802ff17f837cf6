"""A round from its opening to its global, with everything that may go wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from consilo.protocol.access import may_read, reference_of
from consilo.protocol.records import GlobalModel, Opening, Selection, Update
from tests.simulated_members import identity
from tests.simulated_requests import DEADLINE_MS, GRACE_MS
from tests.simulators import Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
FIRST, SECOND = "HospitalA/aggregator", "HospitalB/aggregator"


def _selected(c: Consortium) -> list[str]:
    assert c.attempt.selection is not None
    return [update.member for update in c.attempt.selection.selected]


def test_a_run_goes_from_round_to_round_until_it_is_finished() -> None:
    c = Consortium(silos=3)
    c.running(rounds=3)
    for round_number in range(3):
        assert c.attempt.opening.round == round_number
        assert c.attempt.opening.base == c.latest.reference
        assert c.complete_round().round == round_number + 1
    assert c.run_state() == "finished"
    assert c.status.attempt is None
    assert [model.round for model in c.all(GlobalModel)] == [0, 1, 2, 3]


def test_a_round_closes_at_once_when_all_of_the_cohort_have_published() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates()
    assert c.attempt.closable_from == c.attempt.opening.opened_at
    c.close_round()
    assert _selected(c) == [A, B, C]


def test_a_slow_silo_is_waited_for_until_the_grace_is_over() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_update(A)
    c.advance(5_000)
    c.publish_update(B)
    assert c.attempt.closable_from == c.clock + GRACE_MS
    c.advance(GRACE_MS - 1)
    with c.refused("too-early"):
        c.close_round()
    c.advance(1)
    c.close_round()
    assert _selected(c) == [A, B]
    with c.refused("round-closed"):
        c.publish_update(C)


def test_a_slow_silo_that_comes_within_the_grace_counts() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates(A, B)
    c.advance(GRACE_MS - 1)
    c.publish_update(C)
    c.close_round()
    assert _selected(c) == [A, B, C]


def test_the_grace_never_outlasts_the_deadline() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_update(A)
    c.advance(DEADLINE_MS - 1)
    c.publish_update(B)
    assert c.attempt.closable_from == c.attempt.opening.deadline_at


def test_a_silo_that_dies_costs_the_round_its_deadline_and_no_more() -> None:
    c = Consortium(silos=3)
    c.running(threshold=3, minimum=2)
    c.publish_updates(A, B)
    c.advance(DEADLINE_MS - 1)
    with c.refused("too-early"):
        c.close_round()
    c.advance(1)
    with c.refused("nothing-to-reopen"):
        c.reopen_round(C)
    c.close_round(B)
    assert _selected(c) == [A, B]
    c.publish_global()
    assert c.attempt.opening.cohort == (A, B, C)


def test_an_update_that_comes_after_the_deadline_still_counts_while_the_round_is_open() -> None:
    c = Consortium(silos=3)
    c.running()
    c.advance(3 * DEADLINE_MS)
    c.publish_updates()
    c.close_round()
    assert _selected(c) == [A, B, C]


def test_a_cohort_that_never_answers_is_replaced_after_each_deadline_by_any_participant() -> None:
    c = Consortium(silos=3)
    c.running(minimum=2)
    for attempt, member in enumerate((A, "HospitalB/operator", SECOND), start=1):
        assert c.attempt.closable_from is None
        c.advance(DEADLINE_MS - 1)
        with c.refused("nothing-to-reopen"):
            c.reopen_round(member)
        c.advance(1)
        c.reopen_round(member)
        assert c.attempt.opening.attempt == attempt + 1
        assert c.attempt.opening.opened_by == member
        assert c.attempt.opening.deadline_at == c.clock + DEADLINE_MS
    c.complete_round()
    assert (c.latest.round, c.latest.attempt) == (1, 4)


def test_what_a_reopened_round_has_carries_over() -> None:
    c = Consortium(silos=3)
    c.running(minimum=2)
    c.publish_update(B)
    c.pass_deadline()
    c.reopen_round(B)
    assert [reference.member for reference in c.attempt.opening.carried] == [B]
    with c.refused("already-published"):
        c.publish_update(B)
    c.publish_updates(A)
    c.advance(GRACE_MS)
    c.close_round()
    assert _selected(c) == [A, B]
    assert c.attempt.selection is not None
    assert [update.attempt for update in c.attempt.selection.selected] == [2, 1]


def _publish_initial(c: Consortium, aggregator: str) -> None:
    c.publish_global(aggregator)


def _close(c: Consortium, aggregator: str) -> None:
    c.close_round(aggregator)


def _publish_next(c: Consortium, aggregator: str) -> None:
    c.publish_global(aggregator)


STEPS: list[Callable[[Consortium, str], None]] = [_publish_initial, _close, _publish_next, _close, _publish_next]
"""All that an aggregator does in a run of two rounds."""


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_when_an_aggregator_dies_between_two_steps_the_other_goes_on_where_it_was(done: int) -> None:
    c = Consortium(silos=2)
    c.active(rounds=2)
    for number, step in enumerate(STEPS):
        if step is _close:
            c.publish_updates()
        step(c, FIRST if number < done else SECOND)
    assert c.run_state() == "finished"
    assert {model.published_by for model in c.all(GlobalModel)} <= {FIRST, SECOND}


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_an_aggregator_that_dies_before_it_hears_of_its_step_may_repeat_it(step: int) -> None:
    c = Consortium(silos=2)
    c.active(rounds=2)
    for number, function in enumerate(STEPS):
        if function is _close:
            c.publish_updates()
        function(c, FIRST)
        if number == step:
            assert c.send(c.admitted[-1].transaction).repeated
    assert c.run_state() == "finished"


def test_when_no_aggregator_publishes_the_global_in_time_anyone_reopens_and_the_updates_stay() -> None:
    c = Consortium(silos=3)
    c.running()
    c.close()
    c.advance(DEADLINE_MS - 1)
    with c.refused("nothing-to-reopen"):
        c.reopen_round(A)
    c.advance(1)
    c.reopen_round(A)
    with c.refused("attempt-superseded"):
        c.publish_global(attempt=1)
    c.close_round(SECOND)
    c.publish_global(SECOND)
    assert [selected.attempt for selected in c.latest.inputs] == [1, 1, 1]


def test_of_two_aggregators_that_race_one_closes_and_one_publishes_and_nothing_is_lost() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates()
    closings = [c.make.close_round(FIRST), c.make.close_round(SECOND)]
    c.send(closings[1])
    with c.refused("round-closed"):
        c.send(closings[0])
    globals_ = [c.make.publish_global(FIRST), c.make.publish_global(SECOND)]
    c.send(globals_[0])
    with c.refused("global-exists"):
        c.send(globals_[1])
    assert c.latest.published_by == FIRST
    assert c.attempt.opening.base == c.latest.reference


def test_a_closing_that_has_not_seen_the_last_update_is_told_so_and_may_try_again() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates(A, B)
    c.advance(GRACE_MS)
    blind = c.make.close_round()
    c.publish_update(C)
    with c.refused("updates-changed"):
        c.send(blind)
    c.close_round()
    assert _selected(c) == [A, B, C]


def test_a_bad_digest_is_excluded_and_its_owner_replaces_it() -> None:
    c = Consortium(silos=2)
    c.running(threshold=2, minimum=2)
    c.close()
    c.reopen_round(FIRST, {B: "digest-mismatch"})
    assert [reference.member for reference in c.attempt.opening.carried] == [A]
    assert c.attempt.closable_from is None  # too few are left: B must come again
    with c.refused("too-early"):
        c.close_round()
    c.publish_update(B)
    c.close_round()
    c.publish_global(SECOND)
    assert [(selected.member, selected.attempt) for selected in c.latest.inputs] == [(A, 1), (B, 2)]


def test_with_enough_left_a_round_goes_on_without_the_bad_update() -> None:
    c = Consortium(silos=3)
    c.running()
    c.close()
    c.reopen_round(FIRST, {C: "not-finite"})
    c.advance(GRACE_MS)
    c.close_round()
    assert _selected(c) == [A, B]


def test_exclusions_stay_visible_and_can_be_counted_by_member() -> None:
    c = Consortium(silos=3)
    c.running()
    c.close()
    c.reopen_round(FIRST, {B: "malformed", C: "unavailable"})
    c.close()
    c.reopen_round(SECOND, {C: "unavailable"})
    c.complete_round()
    openings = c.all(Opening)
    counted = Counter(exclusion.member for opening in openings for exclusion in opening.excluded)
    assert counted == {B: 1, C: 2}
    assert [opening.opened_by for opening in openings if opening.excluded] == [FIRST, SECOND]
    assert len(c.all(Update)) == 3 + 2 + 1


def test_an_update_excluded_twice_over_may_be_replaced_twice() -> None:
    c = Consortium(silos=2)
    c.running()
    for _ in range(2):
        c.close()
        c.reopen_round(FIRST, {B: "digest-mismatch"})
    c.complete_round()
    assert [(selected.member, selected.attempt) for selected in c.latest.inputs] == [(A, 1), (B, 3)]


def test_only_an_aggregator_excludes_and_only_what_was_selected() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates()
    with c.refused("round-not-closed"):
        c.reopen_round(FIRST, {B: "malformed"})
    c.close_round()
    for member in (A, "HospitalA/operator"):
        with c.refused("role-not-allowed"):
            c.reopen_round(member, {B: "malformed"})


def test_a_member_with_two_certificates_acts_in_the_role_that_it_signs_with() -> None:
    c = Consortium(silos=3)
    c.running()
    c.pass_deadline()
    with c.refused("organisation-not-named"):
        c.reopen_round(A, by=identity(A, "aggregator"))
    with c.refused("role-not-allowed"):
        c.reopen_round(A, by=identity(A, "viewer"))
    c.reopen_round(A, by=identity(A, "silo"))


def test_a_round_whose_updates_are_all_below_the_value_can_be_left() -> None:
    c = Consortium(silos=2)
    c.running(selection={"policy": "at_least", "metric": "accuracy", "value": "0.5"}, threshold=2, minimum=2)
    c.publish_update(A, metrics={"accuracy": "0.4"})
    c.publish_update(B, metrics={"accuracy": "0.6"})
    with c.refused("selection-too-small"):
        c.close_round()
    with c.refused("nothing-to-reopen"):
        c.reopen_round()
    c.pass_deadline()
    c.reopen_round(B)
    # The one that can never be selected does not carry over, so that its owner may do better.
    assert [reference.member for reference in c.attempt.opening.carried] == [B]
    c.publish_update(A, metrics={"accuracy": "0.5"})
    c.close_round()
    assert _selected(c) == [A, B]


def test_an_update_without_the_metric_does_not_block_a_sampled_cohort_for_ever() -> None:
    c = Consortium(silos=4)
    c.running(
        cohort={"kind": "count", "count": 2},
        threshold=2,
        minimum=2,
        selection={"policy": "top_k", "metric": "accuracy", "k": 2, "order": "highest"},
    )
    for member in c.attempt.opening.cohort:
        c.publish_update(member, metrics={})
    c.pass_deadline()
    c.reopen_round()
    assert c.attempt.opening.carried == ()
    c.continue_honestly()


def test_top_k_selects_the_best_and_says_why_others_were_left_out() -> None:
    c = Consortium(silos=4)
    c.running(selection={"policy": "top_k", "metric": "loss", "k": 2, "order": "lowest"}, minimum=2, threshold=2)
    for silo, loss in zip(c.layout.silos, ("0.5", "0.1", "0.1", None), strict=True):
        c.publish_update(silo, metrics={} if loss is None else {"loss": loss})
    c.close_round()
    assert _selected(c) == [B, C]
    selection = c.all(Selection)[0]
    assert [(out.member, out.reason) for out in selection.left_out] == [
        (A, "not-among-best"),
        ("HospitalD/silo", "metric-missing"),
    ]
    assert selection.total_samples == 20


def test_one_that_was_not_among_the_best_steps_in_for_an_excluded_one() -> None:
    c = Consortium(silos=3)
    c.running(selection={"policy": "top_k", "metric": "accuracy", "k": 2, "order": "highest"}, minimum=2)
    for silo, accuracy in ((A, "0.9"), (B, "0.8"), (C, "0.7")):
        c.publish_update(silo, metrics={"accuracy": accuracy})
    c.close_round()
    assert _selected(c) == [A, B]
    c.reopen_round(FIRST, {A: "unavailable"})
    c.advance(GRACE_MS)
    c.close_round()
    assert _selected(c) == [B, C]


@pytest.mark.parametrize(
    "cohort", [{"kind": "count", "count": 3}, {"kind": "fraction", "fraction": "0.5"}, {"kind": "all"}]
)
def test_a_carried_update_keeps_its_place_in_a_sampled_cohort(cohort: dict[str, object]) -> None:
    c = Consortium(silos=6, organisations=2)
    c.running(cohort=cohort, threshold=3, minimum=3)
    asked = c.attempt.opening.cohort
    assert len(asked) == (6 if cohort["kind"] == "all" else 3)
    c.publish_updates(*asked[:2])
    for _ in range(4):
        c.pass_deadline()
        c.reopen_round()
        assert set(asked[:2]) <= set(c.attempt.opening.cohort)
        assert len(c.attempt.opening.cohort) == len(asked)
    c.continue_honestly()


def test_each_attempt_and_each_round_draws_its_cohort_anew() -> None:
    c = Consortium(silos=8, organisations=2)
    c.running(cohort={"kind": "count", "count": 3}, threshold=3, minimum=3, rounds=3)
    for _ in range(3):
        c.pass_deadline()
        c.reopen_round()
    c.continue_honestly()
    assert len({opening.cohort for opening in c.all(Opening)}) > 3


def test_the_selection_is_what_lets_the_aggregators_read() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates(A, B)
    reference = reference_of(c.all(Update)[1])
    assert not may_read(c.state, "trial", FIRST, reference)
    c.advance(GRACE_MS)
    c.close_round()
    assert may_read(c.state, "trial", FIRST, reference)
    assert may_read(c.state, "trial", SECOND, reference)
    assert not may_read(c.state, "trial", "HospitalC/aggregator", reference)


def test_what_an_attempt_records_is_never_dated_before_what_it_follows_from() -> None:
    c = Consortium(silos=2)
    c.running()
    c.advance(30_000)
    c.publish_updates()
    c.advance(-50_000)
    c.close_round()
    c.publish_global()
    selection, model = c.all(Selection)[0], c.latest
    published = max(update.published_at for update in c.all(Update))
    assert c.clock < published == selection.closed_at == model.published_at == c.attempt.opening.opened_at
    c.publish_updates()
    assert c.attempt.updates[0].published_at == c.attempt.opening.opened_at
