"""Trains and evaluates the models of one run in Jobs: one for each round, and one for the last global. Async.

A Job that trains on a global also evaluates it, after its update has been given: the data are loaded once. A client
that starts again goes on with the Job that it finds; a Job that failed is deleted, and another try makes another.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from consilo.protocol.specification import Specification
from consilo.training.errors import WORKER_ERRORS, TaskStopped, TaskTimedOut, WorkerConfused, WorkerDied, WorkerError
from consilo.training.job_messages import ENDED, UNREACHABLE, UNUSABLE, UNWANTED, JobLimits, JobOrder
from consilo.training.messages import EvaluationReply, Failed, Progress, RoundContext, TrainingReply
from services.client.jobs.exchange import Exchange, JobRecord, digest_of, tell_nobody
from services.client.jobs.office import JobOffice
from services.client.jobs.runner import JobState, JobToStart, RunnerUnusable

log = structlog.get_logger(__name__)

Result = TypeVar("Result", TrainingReply, EvaluationReply)

_TOKEN_BYTES: Final = 32
_READABLE_CHARACTERS: Final = 36
_MEANINGS: Final = {
    UNUSABLE: "its program could not go on; the last lines of its log say why",
    UNWANTED: "the silo did not know it any more",
    UNREACHABLE: "it could not reach the silo's pod; does a NetworkPolicy let it?",
    ENDED: "it was told to end, as when its node is drained",
}


@dataclass(frozen=True)
class JobTerms:
    """What all Jobs of a run have in common.

    Attributes:
        member: id of the silo.
        run: name of the run.
        task: `module:Class`.
        specification: of the run.
        data: what the silo's operator says about the data.
        limits: of the Job's worker process.
        evaluates: whether the globals that are trained on are to be evaluated.
    """

    member: str
    run: str
    task: str
    specification: Specification
    data: Mapping[str, Any]
    limits: JobLimits
    evaluates: bool

    def order(self, base: str, training: RoundContext | None) -> JobOrder:
        """The order for a global model of this digest; without training it is for an evaluation."""
        return JobOrder(
            task=self.task,
            version=self.specification.task.version,
            parameters=dict(self.specification.task.parameters),
            data=dict(self.data),
            tensors=self.specification.tensors,
            base=base,
            training=training,
            evaluate=self.evaluates or training is None,
            limits=self.limits,
        )


class JobTrainer:
    """A `Trainer` of one run.

    Args:
        office: what all runs of the silo share.
        terms: of this run.
    """

    is_loading = False  # loading is a part of every Job
    is_loaded = True

    def __init__(self, office: JobOffice, terms: JobTerms) -> None:
        self._office = office
        self._terms = terms
        self._log = log.bind(run=terms.run)

    async def load(self) -> None:
        """Nothing is loaded but in a Job."""

    def warm_up(self, told: Callable[[BaseException | None], None]) -> None:
        """No Job is made ahead: it would hold its resources while it waits."""

    async def train(
        self, base: Path, output: Path, context: RoundContext, on_progress: Callable[[Progress], None]
    ) -> TrainingReply:
        """Train in a Job; it is deleted when the caller is cancelled. While no Job can be made, waits until one can.

        Raises:
            WorkerError: the task or its Job failed.
        """
        while True:
            try:
                exchange = await self._exchange(base, context, output)
                break
            except RunnerUnusable as error:
                wait = self._office.settings.retry_seconds
                self._log.warning("no Job can be made; trying again", reason=str(error), again_in_seconds=wait)
                await asyncio.sleep(wait)
        exchange.on_progress = on_progress
        trained = await self._outcome(exchange, TrainingReply)
        exchange.on_progress = tell_nobody
        if not await asyncio.to_thread(exchange.hand_over, trained, output):
            await self._office.end(exchange)
            raise WorkerDied("the update that the Job gave is gone from the work directory; look after the disk")
        return trained

    async def evaluate(self, model: Path) -> EvaluationReply:
        """Evaluate a model: by the Job that trained on it, or one for this alone.

        Raises:
            WorkerError: the task or its Job failed.
        """
        try:
            exchange = await self._exchange(model, None, None)
        except RunnerUnusable as error:
            raise WorkerDied(str(error)) from error
        return await self._outcome(exchange, EvaluationReply)

    async def close(self) -> None:
        """Delete all Jobs of the run."""
        await asyncio.gather(
            *(self._office.end(exchange) for exchange in self._office.exchanges.of_run(self._terms.run))
        )

    # -- Finding or making a Job --

    async def _exchange(self, base: Path, context: RoundContext | None, output: Path | None) -> Exchange:
        """What is to be done with a model, by the Job that is on it already or by another."""
        await self._office.tidied()
        order = self._terms.order(await asyncio.to_thread(_digest_of_file, base), context)
        for exchange in self._office.exchanges.of_run(self._terms.run):
            if await self._serves(exchange, order, output):
                if not exchange.is_awaited:
                    self._log.info("going on with a Job that is there", job=exchange.name)
                exchange.is_awaited = True
                return exchange
            await self._office.end(exchange)
        return await self._start(order, base)

    async def _serves(self, exchange: Exchange, order: JobOrder, output: Path | None) -> bool:
        """Whether a Job that was made is still good for an order."""
        if not exchange.order.covers(order):
            return False
        trained = await asyncio.to_thread(exchange.result, TrainingReply)
        if trained is not None and output is not None:  # else its update was of no use
            return await asyncio.to_thread(exchange.hand_over, trained, output)
        if output is None and await asyncio.to_thread(exchange.result, EvaluationReply) is not None:
            return True
        if exchange.record.uid is None or not self._office.is_own(exchange):
            return False
        state = await self._office.runner.look(exchange.name, exchange.record.uid)
        return state is not None and state.phase in {"waiting", "running"}

    async def _start(self, order: JobOrder, base: Path) -> Exchange:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        name = job_name(self._terms.member, self._terms.run, order)
        url = f"{self._office.url}/{name}"
        record = JobRecord(
            run=self._terms.run,
            order=order,
            base=str(base),
            token=digest_of(token),
            owner=self._office.settings.pod_uid,
            url=url,
        )
        exchange = await asyncio.to_thread(self._office.exchanges.open, name, record)
        exchange.is_awaited = True
        job = JobToStart(
            name=name,
            member=self._terms.member,
            run=self._terms.run,
            round=None if order.training is None else order.training.round,
            url=url,
            token=token,
        )
        starting = asyncio.create_task(self._office.runner.start(job))
        try:
            uid = await asyncio.shield(starting)
            await asyncio.to_thread(exchange.made, uid)
        except BaseException:
            await asyncio.gather(starting, return_exceptions=True)  # so that what it makes is deleted
            await self._office.end(exchange)
            raise
        self._log.info("a Job is made", job=name, trains=order.training is not None)
        return exchange

    # -- Waiting for it --

    async def _outcome(self, exchange: Exchange, kind: type[Result]) -> Result:
        """Wait for a result; a Job that fails, or is waited for no longer, is deleted."""
        try:
            return await self._result(exchange, kind)
        except BaseException:
            await self._office.end(exchange)
            raise

    async def _result(self, exchange: Exchange, kind: type[Result]) -> Result:
        state: JobState | None = JobState("", "waiting")
        said: str | None = None
        while True:
            result = await asyncio.to_thread(exchange.result, kind)
            if result is not None:
                return result
            failed = await asyncio.to_thread(exchange.result, Failed)
            if failed is not None:
                await self._tell_log(exchange)
                raise _error(failed)
            if state is None:
                raise WorkerDied("the Job was deleted, and not by this silo")
            if state.phase in {"succeeded", "failed"}:
                raise await self._death(exchange, state)
            if await exchange.news(self._office.settings.poll_seconds):
                continue
            try:
                state = await self._office.runner.look(exchange.name, exchange.record.uid or "")
            except RunnerUnusable as error:
                self._log.warning("a Job cannot be looked after", job=exchange.name, reason=str(error))
                continue
            if state is not None and state.phase == "waiting" and state.reason not in {None, said}:
                said = state.reason
                self._log.warning("a Job waits", job=exchange.name, reason=said)

    async def _death(self, exchange: Exchange, state: JobState) -> WorkerError:
        """What is known of a Job that ended without a result."""
        if state.is_overdue:
            limit = self._office.settings.deadline_seconds
            return TaskTimedOut(f"the Job did not finish within {limit} s", await self._office.log_of(exchange))
        end = await self._office.end_of(exchange)
        meaning = None if end.exit_code is None else _MEANINGS.get(end.exit_code)
        reason = meaning or end.reason or state.reason or "nothing is known of why"
        code = "" if end.exit_code is None else f" with status {end.exit_code}"
        return WorkerDied(f"the Job {exchange.name} ended{code} without a result: {reason}", end.log)

    async def _tell_log(self, exchange: Exchange) -> None:
        if lines := await self._office.log_of(exchange):
            self._log.warning("the log of a Job that failed", job=exchange.name, lines=list(lines))


def job_name(member: str, run: str, order: JobOrder) -> str:
    """The name of the Job for an order: the same one, whichever attempt of the round asks for it."""
    training = order.training
    place = "evaluation" if training is None else f"r{training.round}"
    digest = hashlib.sha256("\n".join((member, run, place, order.base)).encode()).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9]+", "-", f"consilo-{member.rpartition('/')[2]}-{run}".lower())
    return f"{readable[:_READABLE_CHARACTERS].rstrip('-')}-{place}-{digest}"


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _error(failed: Failed) -> WorkerError:
    kind = WORKER_ERRORS.get(failed.code)
    if kind is None or kind is TaskStopped:  # a Job that is stopped has nobody to tell
        return WorkerConfused(f"the Job failed with the unknown code {failed.code[:64]!r}")
    return kind(failed.message, failed.traceback)
