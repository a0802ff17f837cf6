"""The end of event streams when the service is told to end: they go on for ever otherwise. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Ending:
    """Whether the service ends, and waits that end with it: an event that costs a waiting stream no task of its own.

    For one event loop.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waits: set[asyncio.Timeout] = set()

    def is_set(self) -> bool:
        """Whether the service was told to end."""
        return self._is_set

    def set(self) -> None:
        """The service was told to end: all waits are over."""
        self._is_set = True
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(0)

    @asynccontextmanager
    async def at_most(self, seconds: float) -> AsyncIterator[None]:
        """Like `asyncio.timeout`, but over too when the service ends.

        Raises:
            TimeoutError: the time is over, or the service ends.
        """
        async with asyncio.timeout(0 if self._is_set else seconds) as wait:
            self._waits.add(wait)
            try:
                yield
            finally:
                self._waits.discard(wait)
