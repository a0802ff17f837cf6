"""How often something is tried in an attempt of a round, and how long to wait in between. No I/O but the clock."""

from __future__ import annotations

import time

from services.client.settings import RetrySettings


class Tries:
    """Failures in the current attempt of one run. Another attempt starts anew."""

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings
        self._attempt: tuple[int, int] | None = None
        self._failures = 0
        self._next = 0.0
        self._settled = False

    def settle(self, attempt: tuple[int, int]) -> None:
        """Nothing more is to be done in this attempt (round, attempt)."""
        self._enter(attempt)
        self._settled = True

    def is_settled(self, attempt: tuple[int, int]) -> bool:
        """Whether nothing more is to be done in this attempt."""
        self._enter(attempt)
        return self._settled

    def seconds_left(self, attempt: tuple[int, int]) -> float:
        """How long to wait before the next try in this attempt; 0: none."""
        self._enter(attempt)
        return max(0.0, self._next - time.monotonic())

    def failed(self, attempt: tuple[int, int], *, again: bool = True) -> float | None:
        """Count a failure.

        Args:
            attempt: round and attempt.
            again: whether trying again may be better.

        Returns:
            Seconds to wait before the next try; None: the attempt is settled, there is none.
        """
        self._enter(attempt)
        self._failures += 1
        if not again or self._failures >= self._settings.tries:
            self._settled = True
            return None
        wait = min(self._settings.first_wait_seconds * 2.0 ** (self._failures - 1), self._settings.longest_wait_seconds)
        self._next = time.monotonic() + wait
        return wait

    def _enter(self, attempt: tuple[int, int]) -> None:
        if attempt != self._attempt:
            self._attempt, self._failures, self._next, self._settled = attempt, 0, 0.0, False
