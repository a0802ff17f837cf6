"""The parent's view of training: a worker that is warm when it can be. Async; starts processes.

One request runs at a time; others wait. `cancel` may be called while one runs. A worker that was killed or died is
started again, with the task it had loaded, by the next request.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from consilo.protocol.tensors import TensorSchema
from consilo.training.errors import WORKER_ERRORS, TaskNotFound, TaskStopped, TaskTimedOut, WorkerConfused, WorkerDied
from consilo.training.messages import (
    Cancel,
    EvaluateRequest,
    EvaluationReply,
    Failed,
    InitialStateReply,
    InitialStateRequest,
    LoadReply,
    LoadRequest,
    Progress,
    Reply,
    Request,
    RoundContext,
    TrainingReply,
    TrainRequest,
)
from consilo.training.worker_process import WorkerProcess, WorkerSettings

AnyReply = TypeVar("AnyReply", LoadReply, InitialStateReply, TrainingReply, EvaluationReply)

OnProgress = Callable[[Progress], None]


class _Operation:
    """What the worker is doing for one call of a method of the handle."""

    def __init__(self) -> None:
        self.request_id: int | None = None
        self.cancelled = False
        self.done = asyncio.Event()


class TrainingWorker:
    """Trains, evaluates and makes initial models of one task in a process of its own.

    All methods but `start`, `cancel` and `close` raise a `WorkerError`: the one that fits the task's failure, or
    `WorkerDied`, `WorkerConfused`, `TaskTimedOut`, `TaskStopped`. When the calling asyncio task is cancelled while it
    waits, the worker is killed; `cancel` is the gentle way.
    """

    def __init__(self, settings: WorkerSettings | None = None, *, name: str = "worker") -> None:
        """Take the limits, and a name for the log, e.g. the silo's member id."""
        self._settings = settings or WorkerSettings()
        self._name = name
        self._process: WorkerProcess | None = None
        self._to_load: LoadRequest | None = None
        self._is_loaded = False
        self._ids = itertools.count(1)
        self._lock = asyncio.Lock()
        self._operation: _Operation | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the running worker, if there is one."""
        return self._process.pid if self._process is not None and self._process.running else None

    async def start(self) -> None:
        """Start the process, if it is not running. Optional: every request does."""
        async with self._lock:
            await self._running_process()

    async def load(
        self,
        task: str,
        *,
        parameters: Mapping[str, Any],
        data: Mapping[str, Any] | None,
        version: str | None = None,
        tensors: TensorSchema | None = None,
    ) -> LoadReply:
        """Import a task and load its data; also whenever the worker is started again.

        Args:
            task: `module:Class`.
            parameters: of the run.
            data: what the silo's operator says about the data; None for none, which
                suffices for an initial model.
            version: that the task must have.
            tensors: that its model must have.
        """
        request = LoadRequest(
            id=next(self._ids),
            task=task,
            version=version,
            parameters=dict(parameters),
            data=None if data is None else dict(data),
            tensors=tensors,
        )
        async with self._operating() as operation:
            self._to_load, self._is_loaded = request, False
            return await self._load(request, operation)

    async def initial_state(self, seed: int, output: Path) -> InitialStateReply:
        """Write the task's initial model to the file `output`."""
        async with self._loaded() as operation:
            request = InitialStateRequest(id=next(self._ids), seed=seed, output=str(output))
            return await self._exchange(request, InitialStateReply, operation, self._settings.load_timeout_seconds)

    async def train(
        self,
        base: Path,
        output: Path,
        tensors: TensorSchema,
        context: RoundContext,
        on_progress: OnProgress | None = None,
    ) -> TrainingReply:
        """Train from the artifact `base` and write the result to `output`, which appears whole or not at all.

        Args:
            base: file of the global model.
            output: file to write.
            tensors: schema of both.
            context: what the task is told of the round.
            on_progress: called on the event loop with each report.
        """
        async with self._loaded() as operation:
            request = TrainRequest(
                id=next(self._ids),
                base=str(base),
                output=str(output),
                tensors=tensors,
                context=context,
                progress_interval_seconds=self._settings.progress_interval_seconds,
            )
            limit = self._settings.train_timeout_seconds
            return await self._exchange(request, TrainingReply, operation, limit, on_progress)

    async def evaluate(self, base: Path, tensors: TensorSchema, *, compare: bool = False) -> EvaluationReply:
        """Evaluate the artifact `base` on the silo's validation data; `compare`: see whether the task changes it."""
        return await self._evaluate(base, tensors, test=False, compare=compare)

    async def test(self, base: Path, tensors: TensorSchema) -> EvaluationReply:
        """Evaluate the artifact `base` on the global test set of a `BaselineTask`."""
        return await self._evaluate(base, tensors, test=True, compare=False)

    async def cancel(self, grace_seconds: float) -> bool:
        """Stop what the worker is doing, if anything; the waiting call raises `TaskStopped`.

        Args:
            grace_seconds: to wait for the task's next `check`; then the process is killed.

        Returns:
            Whether the worker stopped by itself, and so is still warm.
        """
        operation = self._operation
        if operation is None:
            return True
        operation.cancelled = True
        try:
            async with asyncio.timeout(grace_seconds):
                if self._process is not None and operation.request_id is not None:
                    with suppress(WorkerDied):
                        await self._process.send(Cancel(id=operation.request_id))
                await operation.done.wait()
        except TimeoutError:
            if self._process is not None:
                await self._process.kill()
            await operation.done.wait()
        return self.pid is not None

    async def close(self) -> None:
        """End the process. A request that runs is not waited for."""
        if self._process is not None:
            await self._process.end()
        self._process, self._is_loaded = None, False

    async def _evaluate(self, base: Path, tensors: TensorSchema, *, test: bool, compare: bool) -> EvaluationReply:
        async with self._loaded() as operation:
            request = EvaluateRequest(id=next(self._ids), base=str(base), tensors=tensors, test=test, compare=compare)
            return await self._exchange(request, EvaluationReply, operation, self._settings.evaluate_timeout_seconds)

    @asynccontextmanager
    async def _operating(self) -> AsyncIterator[_Operation]:
        async with self._lock:
            operation = self._operation = _Operation()
            try:
                yield operation
            finally:
                self._operation = None
                operation.done.set()

    @asynccontextmanager
    async def _loaded(self) -> AsyncIterator[_Operation]:
        async with self._operating() as operation:
            await self._running_process()
            if self._to_load is None:
                raise TaskNotFound("no task has been loaded")
            if not self._is_loaded:
                await self._load(self._to_load.model_copy(update={"id": next(self._ids)}), operation)
            yield operation

    async def _load(self, request: LoadRequest, operation: _Operation) -> LoadReply:
        reply = await self._exchange(request, LoadReply, operation, self._settings.load_timeout_seconds)
        self._is_loaded = True
        return reply

    async def _running_process(self) -> WorkerProcess:
        if self._process is None or not self._process.running:
            self._is_loaded = False
            self._process = await WorkerProcess.start(self._settings, self._name)
        return self._process

    async def _exchange(
        self,
        request: Request,
        expected: type[AnyReply],
        operation: _Operation,
        timeout_seconds: float | None,
        on_progress: OnProgress | None = None,
    ) -> AnyReply:
        """Send a request and wait for its reply. The process is killed unless it replies."""
        process = await self._running_process()
        if operation.cancelled:
            raise TaskStopped("the training was cancelled before it began")
        operation.request_id = request.id
        replied = False
        try:
            async with asyncio.timeout(timeout_seconds):
                await process.send(request)
                while isinstance(reply := await process.receive(), Progress):
                    if on_progress is not None and reply.id == request.id:
                        on_progress(reply)
            replied = reply.id == request.id
            return self._reply(reply, request, expected)
        except TimeoutError:
            raise TaskTimedOut(f"the task did not finish its {request.kind} within {timeout_seconds} s") from None
        except WorkerDied as error:
            if operation.cancelled:
                raise TaskStopped("the training did not stop in time, and its process was killed") from error
            raise
        finally:
            operation.request_id = None
            if not replied:
                await process.kill()

    def _reply(self, reply: Reply, request: Request, expected: type[AnyReply]) -> AnyReply:
        if isinstance(reply, Failed) and reply.id == request.id:
            kind = WORKER_ERRORS.get(reply.code)
            if kind is None:
                raise WorkerConfused(f"the worker failed with the unknown code {reply.code[:64]!r}")
            raise kind(reply.message, reply.traceback)
        if not isinstance(reply, expected) or reply.id != request.id:
            raise WorkerConfused(f"the worker answered {request.kind} with {reply.kind}")
        return reply
