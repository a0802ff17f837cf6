"""What the transitions of a run share: which attempt counts, what is annulled, when things happened."""

from __future__ import annotations

import pytest

from consilo.protocol.records import GlobalModel, Opening
from consilo.protocol.refusals import Refusal
from consilo.protocol.rounds import (
    attempt_time,
    counting_updates,
    current_attempt,
    is_annulled,
    latest_generation,
    load_run,
    next_attempt,
    selection_of,
)
from tests.simulators import Consortium

A, B = "HospitalA/silo", "HospitalB/silo"


def _consortium() -> Consortium:
    c = Consortium(silos=2)
    c.running(rounds=3)
    return c


def test_the_current_attempt_is_the_last_one_of_its_round_and_generation() -> None:
    c = _consortium()
    run = load_run(c.state, "trial")
    first = c.attempt.opening
    assert current_attempt(c.state, run, 0, 1) == first
    c.close()
    c.reopen_round(None, {A: "malformed"})
    for attempt, code in ((1, "attempt-superseded"), (3, "attempt-not-open")):
        with pytest.raises(Refusal) as caught:
            current_attempt(c.state, run, 0, attempt)
        assert caught.value.code == code
    assert current_attempt(c.state, run, 0, 2).carried


def test_an_annulment_supersedes_every_attempt_of_the_generation_before() -> None:
    c = _consortium()
    run = load_run(c.state, "trial")
    model = c.complete_round()
    assert current_attempt(c.state, run, 1, 1) == c.attempt.opening
    c.attest_global("HospitalB/verifier", "mismatch", model)
    for round_number in (0, 1):
        with pytest.raises(Refusal) as caught:
            current_attempt(c.state, run, round_number, 1)
        assert caught.value.code == "attempt-superseded"


def test_updates_that_count_are_those_of_the_attempt_and_those_that_carry_over() -> None:
    c = _consortium()
    c.close()
    c.reopen_round(None, {A: "malformed"})
    c.publish_update(A)
    found = counting_updates(c.state, c.attempt.opening)
    assert [(update.member, update.attempt) for update in found] == [(A, 2), (B, 1)]
    assert [len(counting_updates(c.state, opening)) for opening in c.all(Opening)] == [2, 2]


def test_generations_and_free_attempts_are_counted_up() -> None:
    c = _consortium()
    assert (latest_generation(c.state, "trial"), next_attempt(c.state, "trial", 0, 1)) == (0, 2)
    model = c.complete_round()
    c.attest_global("HospitalB/verifier", "mismatch", model)
    assert (latest_generation(c.state, "trial"), next_attempt(c.state, "trial", 0, 1)) == (1, 3)
    assert next_attempt(c.state, "trial", 7, 5) == 5


def test_a_global_is_annulled_with_all_that_descends_from_it() -> None:
    c = _consortium()
    first, second = c.complete_round(), c.complete_round()
    c.attest_global("HospitalB/verifier", "mismatch", second)
    assert [is_annulled(c.state, model) for model in c.all(GlobalModel)] == [False, False, True]
    c.close_round()
    c.publish_global()
    c.attest_global("HospitalB/verifier", "mismatch", first)
    annulled = {(model.round, model.attempt): is_annulled(c.state, model) for model in c.all(GlobalModel)}
    assert annulled == {(0, 0): False, (1, 1): True, (2, 1): True, (2, 2): True}


def test_the_time_of_an_attempt_is_the_latest_in_its_records() -> None:
    c = _consortium()
    opened = c.clock
    c.advance(10)
    c.publish_updates()
    attempt = c.attempt
    assert attempt_time(attempt.opening, (), None) == opened
    assert attempt_time(attempt.opening, attempt.updates, None) == opened + 10
    c.advance(10)
    c.close_round()
    selection = selection_of(c.state, "trial", 0, 1)
    assert attempt_time(attempt.opening, attempt.updates, selection) == opened + 20
