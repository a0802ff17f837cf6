"""The program of a training Job: `python -m consilo.training.job`. Does network and file I/O, starts a worker process.

It asks its silo for an order and a model, has a worker process do the work, and gives back what came of it; see
`job_messages` for what is said, and for the exit codes. Invariants:

- The task's code runs in the same kind of worker process as in the silo's pod, which is sent neither URL nor token.
- It holds no identity and knows of no ledger.
- It ends when the silo does not want it, or cannot be reached for longer than its patience, and when told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import structlog
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from consilo.training.errors import TaskStopped, WorkerError
from consilo.training.job_channel import Channel, JobUnwanted, SiloRefuses, SiloUnreachable
from consilo.training.job_messages import DONE, ENDED, TASK_FAILED, UNREACHABLE, UNUSABLE, UNWANTED, JobOrder
from consilo.training.messages import Failed, Progress
from consilo.training.worker_handle import TrainingWorker

log = structlog.get_logger("consilo.training.job")

T = TypeVar("T")

_FIRST_WAIT_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 5.0


class JobSettings(BaseSettings):
    """Where a Job finds its silo. Whoever makes the Job sets these; they are no settings for people."""

    model_config = SettingsConfigDict(env_prefix="CONSILO_JOB_", frozen=True)

    url: str = Field(description="of the Job at its silo")
    token_file: Path = Field(description="file with the token that shows that it is this Job")
    directory: Path = Field(description="for the two models; what is in it may be lost")
    timeout_seconds: float = Field(30.0, gt=0, description="without a byte from the silo, or without it taking one")
    patience_seconds: float = Field(300.0, gt=0, description="without reaching the silo; then the Job ends")
    heartbeat_seconds: float = Field(10.0, gt=0, description="between two reports when there is nothing new")


class Job:
    """One Job at work.

    Args:
        settings: waits.
        channel: to the silo.
    """

    def __init__(self, settings: JobSettings, channel: Channel) -> None:
        self._settings = settings
        self._channel = channel
        self._progress = Progress(id=1, fraction=0.0, metrics={})
        self._news = asyncio.Event()

    async def run(self) -> int:
        """Do what the silo orders, and return the exit code.

        Raises:
            ChannelError: the silo does not want the Job, cannot be reached or is not understood.
            OSError: the directory cannot be written.
        """
        order = await self._patiently(self._channel.order)
        worker = TrainingWorker(order.limits.worker_settings(), name="job")
        working = asyncio.create_task(self._work(order, worker))
        reporting = asyncio.create_task(self._report(order.limits.progress_interval_seconds))
        try:
            await asyncio.wait({working, reporting}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                reporting.result()  # it ends only by raising
            return working.result()
        finally:
            reporting.cancel()
            if not working.done():
                await worker.cancel(order.limits.stop_grace_seconds)
                working.cancel()
            await asyncio.gather(working, reporting, return_exceptions=True)
            await worker.close()

    async def _work(self, order: JobOrder, worker: TrainingWorker) -> int:
        base, output = self._settings.directory / "base", self._settings.directory / "update"
        await self._patiently(lambda: self._channel.fetch_base(order, base))
        log.info("ordered", trains=order.training is not None, evaluates=order.evaluate)
        try:
            await worker.load(
                order.task, parameters=order.parameters, data=order.data, version=order.version, tensors=order.tensors
            )
            if order.training is not None:
                trained = await worker.train(base, output, order.tensors, order.training, self._show)
                await self._patiently(lambda: self._channel.give_update(output, trained.sha256))
                await self._patiently(lambda: self._channel.tell(trained))
                log.info("trained", num_samples=trained.num_samples, seconds=round(trained.seconds, 3))
            if order.evaluate:
                evaluated = await worker.evaluate(base, order.tensors)
                await self._patiently(lambda: self._channel.tell(evaluated))
                log.info("evaluated", num_samples=evaluated.num_samples, seconds=round(evaluated.seconds, 3))
        except TaskStopped:  # by this program: nobody waits for the result
            raise
        except WorkerError as error:
            failed = Failed(id=1, code=error.code, message=error.message, traceback=error.details)
            log.error("failed", code=error.code, reason=error.message, details=error.details)  # noqa: TRY400
            await self._patiently(lambda: self._channel.tell(failed))
            return TASK_FAILED
        return DONE

    def _show(self, progress: Progress) -> None:
        self._progress = progress
        self._news.set()

    async def _report(self, interval_seconds: float) -> NoReturn:
        """Tell the silo how far the training is, and now and then that the Job is there. Ends only by an exception."""
        reached = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.heartbeat_seconds):
                    await self._news.wait()
            self._news.clear()
            try:
                await asyncio.to_thread(self._channel.tell, self._progress)
                reached = time.monotonic()
            except SiloUnreachable:
                if time.monotonic() - reached > self._settings.patience_seconds:
                    raise
            await asyncio.sleep(interval_seconds)

    async def _patiently(self, call: Callable[[], T]) -> T:
        """Try again for as long as the silo cannot be reached, up to the patience."""
        started, wait = time.monotonic(), _FIRST_WAIT_SECONDS
        while True:
            try:
                return await asyncio.to_thread(call)
            except SiloUnreachable as error:
                if time.monotonic() - started > self._settings.patience_seconds:
                    raise
                log.warning("the silo cannot be reached; trying again", reason=str(error), again_in_seconds=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)


async def run(settings: JobSettings, token: str) -> int:
    """Run a Job to its end, or until SIGTERM or SIGINT, and return the exit code."""
    job = Job(settings, Channel(settings.url, token, timeout_seconds=settings.timeout_seconds))
    running = asyncio.create_task(job.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        log.info("told to end")
        return ENDED
    except JobUnwanted as error:
        log.info("ending", reason=str(error))
        return UNWANTED
    except SiloUnreachable as error:
        log.error("giving up", reason=str(error), after_seconds=settings.patience_seconds)  # noqa: TRY400
        return UNREACHABLE
    except (SiloRefuses, OSError) as error:
        log.error("cannot go on", reason=str(error))  # noqa: TRY400
        return UNUSABLE


def main() -> NoReturn:
    """Run the Job that the environment describes."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    try:
        settings = JobSettings()  # from the environment
        token = settings.token_file.read_text().strip()
        code = asyncio.Runner().run(run(settings, token))
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False)})
        log.error("cannot start: CONSILO_JOB_... is missing or wrong", settings=fields)  # noqa: TRY400
        code = UNUSABLE
    except (OSError, ValueError) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400
        code = UNUSABLE
    sys.stderr.flush()
    os._exit(code)  # at once: a transfer in a thread would be waited for otherwise


if __name__ == "__main__":
    main()
