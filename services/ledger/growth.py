"""Waiting for a ledger to grow, and reading what came: shared by all event streams of the service. No I/O of its own.

Streams that wait at the same place share one look at the ledger: a thousand of them cost little more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from consilo.api.models import CommittedEvent, Position

PAST_THE_LAST: Final = 2**31 - 1
"""Greater than the index of any transaction in a block."""

_MOST_PAGES: Final = 16

Read = Callable[[Position, int], Coroutine[Any, Any, list[CommittedEvent]]]
"""Reads a page of events: those after a place, up to so many."""


class Growth:
    """What an adapter of the port needs for events. Make it inside a running event loop, and use it there only.

    Args:
        height: the height of the newest block, at once.
        read: the events of the ledger.
    """

    def __init__(self, height: Callable[[], int], read: Read) -> None:
        self._height = height
        self._read = read
        self._grown = asyncio.Event()
        self._pages: dict[tuple[Position, int, int], asyncio.Task[list[CommittedEvent]]] = {}

    def wake(self) -> None:
        """The ledger has grown."""
        # Whoever waits holds the event that was current then; the next growth wakes those who come after.
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
        self._pages.clear()

    async def wait_after(self, height: int) -> None:
        """Return when the ledger has a block higher than `height`."""
        while True:
            grown = self._grown  # taken before looking, so that growth in between is not missed
            if self._height() > height:
                return
            await grown.wait()

    async def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """Up to `limit` events after a place, in order."""
        # The height tells apart what was read before a commit from what must be read after it.
        wanted = (after, limit, self._height())
        page = self._pages.get(wanted)
        if page is None:
            page = asyncio.create_task(self._read(after, limit))
            if len(self._pages) < _MOST_PAGES:
                self._pages[wanted] = page
                page.add_done_callback(lambda done: self._forget_failure(wanted, done))
        return await asyncio.shield(page)

    def end(self) -> Position:
        """The place after which the next event will come."""
        return Position(height=self._height(), index=PAST_THE_LAST)

    def _forget_failure(self, wanted: tuple[Position, int, int], page: asyncio.Task[list[CommittedEvent]]) -> None:
        if page.cancelled() or page.exception() is not None:
            self._pages.pop(wanted, None)
