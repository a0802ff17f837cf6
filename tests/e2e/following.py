"""A run that is followed from outside while the cluster is harmed: what its rounds came to, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any, Self

from k8s.cluster import Cluster
from k8s.console import Console
from k8s.organisations import Organisation
from k8s.progress import Round, Rounds


class Following:
    """Follows a run at the console of one organisation, until it is over or the block ends.

    Attributes:
        rounds: those that are over, as far as was seen.
        seen_at: when the global of each round was seen here, on this machine's monotonic clock, in seconds.
        status: the newest.
    """

    def __init__(self, cluster: Cluster, run: str, at: Organisation) -> None:
        self.run = run
        self.rounds = Rounds()
        self.seen_at: dict[int, float] = {}
        self.status: dict[str, Any] = {}
        self._console = Console(cluster, at)
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until_global(self, number: int, *, seconds: float) -> Round:
        """Wait until there is this global."""
        await self._until(lambda: any(each.number >= number for each in self.rounds.seen), f"global {number}", seconds)
        return next(each for each in self.rounds.seen if each.number >= number)

    async def until_finished(self, *, seconds: float) -> dict[str, Any]:
        """Wait until the run has ended by itself; its last status."""
        await self._until(lambda: self.status.get("state") == "finished", "the end", seconds)
        return self.status

    @property
    def newest(self) -> int:
        """Number of the newest global; 0 before the first round is over."""
        return self.rounds.seen[-1].number if self.rounds.seen else 0

    async def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        assert self._task is not None
        try:
            async with asyncio.timeout(seconds), self._changed:
                while not condition():
                    if self._task.done():
                        self._task.result()
                        raise AssertionError(f"run {self.run} is {self.status.get('state')}, before {what}")
                    await self._changed.wait()
        except TimeoutError:
            status = {key: self.status.get(key) for key in ("state", "latest", "attempt")}
            raise AssertionError(f"run {self.run} has not come to {what} after {seconds:.0f} s: {status}") from None

    async def _follow(self) -> None:
        changes = self._console.changes(self.run)
        try:
            async for status in changes:
                async with self._changed:
                    self.status = status
                    told = self.rounds.take(status)
                    if told is not None:
                        self.seen_at[told.number] = monotonic()
                    self._changed.notify_all()
        finally:
            await changes.aclose()
            async with self._changed:
                self._changed.notify_all()
