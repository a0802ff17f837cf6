"""What the demonstration says while it goes on, and its figures. Writes to the console."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any

from rich.console import Console


@dataclass(frozen=True)
class Round:
    """A round that is over.

    Attributes:
        number: from 1 on: that of the global model that it made.
        attempt: of the round that made it.
        seconds: since the global model before it; None for the first that was seen.
        published_at: milliseconds since 1970-01-01 UTC, as the ledger has it.
    """

    number: int
    attempt: int
    seconds: float | None
    published_at: int


class Rounds:
    """The rounds of a run, from the changes of its status as `consilo run watch --json` tells them."""

    def __init__(self) -> None:
        self.seen: list[Round] = []

    def take(self, status: dict[str, Any]) -> Round | None:
        """The round that is over with this change, if one is that was not told before."""
        latest = status["latest"]
        if latest is None or latest["round"] == 0 or any(each.number >= latest["round"] for each in self.seen):
            return None
        before = self.seen[-1] if self.seen and self.seen[-1].number == latest["round"] - 1 else None
        seconds = None if before is None else (latest["published_at"] - before.published_at) / 1000
        told = Round(latest["round"], latest["attempt"], seconds, latest["published_at"])
        self.seen.append(told)
        return told

    @property
    def median_seconds(self) -> float | None:
        """Of the rounds of which both ends were seen."""
        seconds = [each.seconds for each in self.seen if each.seconds is not None]
        return median(seconds) if seconds else None


class Progress:
    """Lines with the seconds since the start before them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = monotonic()
        self.rounds = Rounds()

    def note(self, text: str) -> None:
        """What is being done now."""
        seconds = monotonic() - self._started
        self._console.print(f"{seconds:6.1f} s  {text}", markup=False, highlight=False, soft_wrap=True)

    def change(self, status: dict[str, Any]) -> None:
        """Where the run stands now; says so when a round is over."""
        told = self.rounds.take(status)
        if told is None:
            return
        accuracy = status["metrics"].get("accuracy")
        words = [f"round {told.number:>3}/{status['rounds']}"]
        words += [] if told.seconds is None else [f"{told.seconds:6.2f} s"]
        words += [] if accuracy is None else [f"accuracy {accuracy:.3f}"]
        words += [] if told.attempt == 1 else [f"{told.attempt} attempts"]
        self.note("   ".join(words))

    def verification(self, report: dict[str, Any]) -> None:
        """The steps of a verification."""
        for step in report["steps"]:
            self.note(f"{step['number']}. {step['title']}: {step['outcome']}")
            self.note(f"   {step['detail']}")
