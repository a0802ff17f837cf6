"""Following runs: for each one a task that looks at the ledger whenever something happened, and does what is due.

This is the loop of every member that acts by itself: silos, aggregators, verifiers. Nothing is polled and nothing is
kept: all that a step needs is on the ledger, so a process may be killed anywhere and started again. Does network I/O.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

import structlog

from consilo.api.errors import ApiError, GatewayRefused, LedgerRolledBack
from consilo.api.models import CommittedEvent
from consilo.api.party import Party
from consilo.api.transfer_errors import TransferError
from consilo.api.watch import watch
from consilo.protocol.apply import Event
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RunStatus

T = TypeVar("T")

UPDATE: Final = "publish_update"

COUNTED: Final = frozenset({UPDATE, "attest_global", "report_evaluation", "record_access"})
"""Transactions of which a run has many, and which by themselves open, close or end nothing (else they have effects).

They are most of a round's events; streams leave out those that nobody looks at.
"""

log = structlog.get_logger(__name__)


class Overtaken(Exception):
    """What was being worked on is of no use any more: the run has gone on without it. Raised by `Look.keep`."""


class Look:
    """A run as it stood when it was read, and a way to notice that it has changed since.

    Attributes:
        status: where the run stood.
    """

    def __init__(self, party: Party, status: RunStatus, news: _News) -> None:
        """Made by `follow_runs`."""
        self.status = status
        self._party = party
        self._news = news

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.status.run

    async def changed(self) -> RunStatus:
        """Wait until something happened in the run since `status` was read (or since the last call), and read again."""
        await self._news.wait()
        return await self._party.metadata_get(self.run)

    async def keep(self, work: Coroutine[Any, Any, T], current: Callable[[RunStatus], bool]) -> T:
        """Do long work for as long as it is of use.

        Args:
            work: is cancelled, and waited for, when it is of no use any more.
            current: says whether the work is still of use, given where the run stands by then.

        Returns:
            What the work returns.

        Raises:
            Overtaken: the work was cancelled.
            Exception: what the work raises.
        """
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._until_not(current))
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            watching.result()  # raises if it was the reading of the ledger that failed
            raise Overtaken(f"run {self.run} has gone on")
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _until_not(self, current: Callable[[RunStatus], bool]) -> None:
        while current(await self.changed()):
            pass


Step = Callable[[Look], Awaitable[float | None]]
"""Does what is due in a run, given how it stands.

Returns after how many seconds it wants to look again when nothing happens in the run; None: only when something does.
"""


def moves_run(event: Event) -> bool:
    """Whether the event opened, closed or ended something, or may lead to that by itself."""
    return bool(event.effects) or event.type not in COUNTED


def moves_round(event: Event, at_work: bool) -> bool:
    """Whether the event may give a member something to do that neither closes rounds nor waits for single updates.

    That a round was closed only tells those at work that their work may be of no use. To read the run again at each
    event would be most of the ledger's work.
    """
    return moves_run(event) and (at_work or event.type != "close_round")


async def follow_runs(
    party: Party,
    *,
    concerned: Callable[[RunStatus], bool],
    step: Step,
    matters: Callable[[Event, bool], bool] = moves_round,
    left_out: frozenset[str] = COUNTED,
) -> None:
    """Call `step` for each run: at first, whenever something happened in it, and when the step wants it.

    Goes on until it is cancelled. Steps of different runs go on side by side, those of one run one after another. A
    step must come to the same result when it is repeated: after an interruption of the event stream, every run is
    looked at. What a step raises is logged and tried again, later and later; it does not disturb the other runs. A
    refusal mostly means that somebody else was faster, so it is only a warning when it goes on.

    Args:
        party: a connected member. Its `settings` say how long to wait after a failure.
        concerned: whether the run is any of the member's business; asked until the answer is no, which is final (a
            specification does not change).
        step: see `Step`.
        matters: whether an event is a reason to look at its run, given whether a step of the run is going on.
        left_out: types of transactions that the stream leaves out, unless they have effects.

    Raises:
        LedgerRolledBack: the ledger lost blocks; somebody must look into that.
        ApiError: the gateway refuses the event stream, or sends what is none.
    """
    followed: dict[str, _News] = {}

    def wake(run: str, event: Event | None) -> None:
        news = followed.get(run)
        if news is None:
            news = followed[run] = _News()
            group.create_task(_follow(party, run, news, concerned, step), name=f"follow {run}")
        elif event is not None and not matters(event, news.at_work):
            return
        news.set()

    try:
        async with asyncio.TaskGroup() as group, aclosing(watch(party, without=left_out)) as events:
            async for event in events:
                for run in await _runs_of(party, event):
                    wake(run, None if event is None else event.event)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _runs_of(party: Party, event: CommittedEvent | None) -> tuple[str, ...]:
    """The runs that an event of the stream is about; the opening of a stream may be about any."""
    if event is None:
        return await party.patience("read the ledger", lambda: party.gateway.run_names())
    if event.event.type == "register_organisation":  # its gateway or stores may have moved
        await party.organisation(organisation_of(event.event.member), fresh=True)
    return () if event.event.run is None else (event.event.run,)


async def _follow(party: Party, run: str, news: _News, concerned: Callable[[RunStatus], bool], step: Step) -> None:
    failures = 0
    failed_at: RunStatus | None = None
    with structlog.contextvars.bound_contextvars(run=run):
        while True:
            news.start_over()
            seconds: float | None = 0.0
            status = None
            try:
                status = await party.metadata_get(run)
                if not concerned(status):
                    return
                seconds = await step(Look(party, status, news))
                failures, failed_at = 0, None
            except LedgerRolledBack:
                raise
            except Overtaken as overtaken:
                log.info("work given up", because=str(overtaken))
            except Exception as error:
                # Whatever failed before, the run has gone on since.
                failures = failures + 1 if status == failed_at else 1
                failed_at = status
                limits = party.settings
                seconds = min(limits.backoff_first_seconds * 2 ** min(failures - 1, 32), limits.backoff_longest_seconds)
                _report(error, failures, seconds)
            await news.wait_since_start(seconds)


def _report(error: Exception, failures: int, seconds: float) -> None:
    again = round(seconds, 3)
    if isinstance(error, GatewayRefused) and failures == 1:
        log.info("refused; looking again", code=error.code, reason=error.message)
    elif isinstance(error, ApiError | TransferError):
        log.warning("failed", code=error.code, reason=str(error), failures=failures, again_in_seconds=again)
    else:
        log.exception("failed", failures=failures, again_in_seconds=again)


class _News:
    """Whether something happened: since the last wait, and since the run was last read for a step."""

    def __init__(self) -> None:
        self._new = asyncio.Event()
        self._since_start = asyncio.Event()
        self.at_work = True  # from before the run is read for a step until the step has ended

    def set(self) -> None:
        """Something happened."""
        self._new.set()
        self._since_start.set()

    def start_over(self) -> None:
        """The run is going to be read for a step."""
        self.at_work = True
        self._new.clear()
        self._since_start.clear()

    async def wait(self) -> None:
        """Return when something has happened since the last wait."""
        await self._new.wait()
        self._new.clear()

    async def wait_since_start(self, seconds: float | None) -> None:
        """Return when something has happened since `start_over`, at the latest after so many seconds."""
        self.at_work = False
        try:
            async with asyncio.timeout(seconds):
                await self._since_start.wait()
        except TimeoutError:
            pass
