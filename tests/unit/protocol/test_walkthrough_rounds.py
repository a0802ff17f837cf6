"""A round from its opening to its global, with everything that may go wrong on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consilo.protocol.access import may_read, reference_of
from consilo.protocol.records import GlobalModel, Selection, Update
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
