"""What all runs of a silo share that trains in Jobs: the runner, the listener, and what is remembered. Async.

Jobs that an earlier process of the client made are admitted again; those that it did not remember are deleted.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from services.client.jobs.exchange import Exchange, Exchanges
from services.client.jobs.listener import Listener
from services.client.jobs.runner import JobEnd, JobRunner, RunnerUnusable
from services.client.jobs.settings import JobSettings

log = structlog.get_logger(__name__)


class JobOffice:
    """Within the block, Jobs are admitted.

    Args:
        settings: where and how.
        member: id of the silo.
        directory: for what is remembered.
        runner: of Jobs.

    Attributes:
        exchanges: with the Jobs that are remembered.
        url: where Jobs reach the listener; the Job's name follows.

    Raises:
        OSError: the listener's address, or the directory, cannot be used.
    """

    def __init__(self, settings: JobSettings, *, member: str, directory: Path, runner: JobRunner) -> None:
        self.settings = settings
        self.runner = runner
        self.exchanges = Exchanges(directory)
        self.exchanges.load()
        self._listener = Listener(self.exchanges, settings)
        self.url = self._listener.url
        self._member = member
        self._tidying = asyncio.Lock()
        self._is_tidy = False
        self._cleaner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._listener.__aenter__()
        self._start_cleaning()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more. Jobs that were not ended go on, and are found by the next process."""
        if self._cleaner is not None:
            self._cleaner.cancel()
            await asyncio.gather(self._cleaner, return_exceptions=True)
        await self._listener.__aexit__(kind, error, trace)
        await self.runner.close()

    async def tidied(self) -> None:
        """Delete the Jobs that are not remembered, unless that was done since there may be some.

        Raises:
            RunnerUnusable: it cannot be done now.
        """
        async with self._tidying:
            if self._is_tidy:
                return
            found = await self.runner.jobs(self._member)
            for name, uid in found.items():
                exchange = self.exchanges.get(name)
                if exchange is None or (exchange.record.uid != uid and not exchange.is_awaited):
                    log.info("deleting a Job that is not remembered", job=name)
                    await self.runner.delete(name, uid)
            for exchange in self.exchanges.all():
                if exchange.record.uid is None and not exchange.is_awaited:
                    self.exchanges.drop(exchange)
            self._is_tidy = True

    def is_own(self, exchange: Exchange) -> bool:
        """Whether a Job was made by this pod, and reaches the silo at this address."""
        record = exchange.record
        return (record.owner, record.url) == (self.settings.pod_uid, f"{self.url}/{exchange.name}")

    async def end(self, exchange: Exchange) -> None:
        """Forget a Job and delete it, or have it deleted as soon as that can be done."""
        self.exchanges.drop(exchange)
        try:
            await self.runner.delete(exchange.name, exchange.record.uid)
        except RunnerUnusable as error:
            log.warning("a Job cannot be deleted now", job=exchange.name, reason=str(error))
            self._is_tidy = False
            self._start_cleaning()

    async def end_of(self, exchange: Exchange) -> JobEnd:
        """How a Job ended, as far as that can be found out."""
        try:
            return await self.runner.explain(exchange.name, exchange.record.uid or "")
        except RunnerUnusable as error:
            return JobEnd(reason=str(error))

    async def log_of(self, exchange: Exchange) -> tuple[str, ...]:
        """The last lines of a Job's log, as far as they can be had."""
        return (await self.end_of(exchange)).log

    async def check(self) -> None:
        """Return when Jobs can be made.

        Raises:
            RunnerUnusable: they cannot.
        """
        await self.runner.jobs(self._member)

    def _start_cleaning(self) -> None:
        if self._cleaner is None or self._cleaner.done():
            self._cleaner = asyncio.create_task(self._clean(), name="cleaner of Jobs")

    async def _clean(self) -> None:
        while not self._is_tidy:
            try:
                await self.tidied()
            except RunnerUnusable as error:
                wait = self.settings.retry_seconds
                log.warning("Jobs cannot be looked after", reason=str(error), again_in_seconds=wait)
                await asyncio.sleep(wait)
