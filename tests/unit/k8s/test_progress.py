"""The rounds of a run, from what `consilo run watch --json` says."""

import io
from typing import Any

from rich.console import Console

from k8s.progress import Progress, Rounds


def status(number: int, published_at: int, *, attempt: int = 1, accuracy: float | None = None) -> dict[str, Any]:
    return {
        "rounds": 3,
        "latest": {"round": number, "attempt": attempt, "published_at": published_at},
        "metrics": {} if accuracy is None else {"accuracy": accuracy},
    }


def test_a_round_is_told_once_with_the_time_since_the_one_before() -> None:
    rounds = Rounds()
    assert rounds.take({"latest": None}) is None
    assert rounds.take(status(0, 1_000)) is None
    told = [rounds.take(status(number, at)) for number, at in [(1, 2_000), (1, 2_000), (2, 4_500), (3, 5_000)]]
    assert [(each.number, each.seconds) for each in told if each] == [(1, None), (2, 2.5), (3, 0.5)]
    assert rounds.median_seconds == 1.5


def test_no_time_is_made_up_for_a_round_whose_beginning_was_not_seen() -> None:
    rounds = Rounds()
    rounds.take(status(1, 1_000))
    told = rounds.take(status(3, 9_000))
    assert told is not None
    assert told.seconds is None
    assert rounds.median_seconds is None


def test_progress_says_what_a_round_came_to() -> None:
    screen = io.StringIO()
    progress = Progress(Console(file=screen, width=200))
    progress.change(status(1, 1_000))
    progress.change(status(2, 2_250, attempt=2, accuracy=0.9312))
    progress.change(status(2, 2_250, attempt=2, accuracy=0.9312))
    lines = [line.split(" s  ", 1)[1].strip() for line in screen.getvalue().splitlines()]
    assert lines == ["round   1/3", "round   2/3     1.25 s   accuracy 0.931   2 attempts"]
