"""Counting failures, and what is shown of them."""

from __future__ import annotations

import pytest

from services.client.settings import RetrySettings
from services.client.status import StatusBoard
from services.client.tries import Tries


def test_waits_grow_up_to_the_longest_and_then_the_attempt_is_settled() -> None:
    tries = Tries(RetrySettings(tries=4, first_wait_seconds=1, longest_wait_seconds=3))
    waits = [tries.failed((0, 1)) for _ in range(4)]
    assert waits == [1, 2, 3, None]
    assert tries.is_settled((0, 1))


def test_another_attempt_starts_anew() -> None:
    tries = Tries(RetrySettings(tries=1, first_wait_seconds=1, longest_wait_seconds=3))
    assert tries.failed((0, 1)) is None
    assert not tries.is_settled((0, 2))
    assert tries.seconds_left((0, 2)) == 0
    assert not tries.is_settled((1, 1))


def test_what_cannot_be_mended_by_trying_again_settles_at_once() -> None:
    tries = Tries(RetrySettings())
    assert tries.failed((0, 1), again=False) is None
    assert tries.is_settled((0, 1))


def test_the_wait_runs_from_the_failure() -> None:
    tries = Tries(RetrySettings(first_wait_seconds=50))
    tries.failed((2, 1))
    assert tries.seconds_left((2, 1)) == pytest.approx(50, abs=5)


def test_the_board_shows_phases_and_forgets_troubles_of_earlier_attempts() -> None:
    board = StatusBoard("HospitalA/silo")
    board.see("trial", "active")
    board.attempt("trial", 0, 1)
    board.phase("trial", "training")
    board.progress("trial", 0.5, {"loss": 1.0})
    board.progress("trial", 0.75, {})
    board.trouble("trial", "task-failed")
    (shown,) = board.status().runs
    assert (shown.phase, shown.progress, shown.metrics, shown.trouble) == (
        "training",
        0.75,
        {"loss": 1.0},
        "task-failed",
    )
    since = shown.since
    board.phase("trial", "training")
    assert board.status().runs[0].since == since
    board.attempt("trial", 0, 2)
    (shown,) = board.status().runs
    assert (shown.attempt, shown.progress, shown.metrics, shown.trouble) == (2, None, {}, None)
