"""The warm worker of one run, as the silo uses it: loads once, and stops gently when its work is overtaken. Async.

A worker that is killed has to load its task and data again, so a training that is cancelled is asked to stop first, and
loading is never cancelled: what is loaded serves the next round as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from consilo.protocol.specification import Specification
from consilo.training.errors import WorkerError
from consilo.training.messages import EvaluationReply, LoadReply, Progress, RoundContext, TrainingReply
from consilo.training.worker_handle import TrainingWorker
from services.client.settings import WorkerLimits

T = TypeVar("T")


class ProcessTrainer:
    """A `Trainer` of one run.

    Args:
        task: `module:Class`.
        specification: of the run.
        data: what the silo's operator says about the data.
        limits: of the worker.
        name: for the log.
    """

    def __init__(
        self, task: str, specification: Specification, data: Mapping[str, Any], limits: WorkerLimits, name: str
    ) -> None:
        self._task = task
        self._specification = specification
        self._data = data
        self._limits = limits
        self._worker = TrainingWorker(limits.worker_settings(), name=name)
        self._loading: asyncio.Task[LoadReply] | None = None

    @property
    def is_loading(self) -> bool:
        """Whether the task is being loaded."""
        return self._loading is not None and not self._loading.done()

    @property
    def is_loaded(self) -> bool:
        """Whether the task has been loaded."""
        return self._loading is not None and self._loading.done() and self._loading.exception() is None

    async def load(self) -> None:
        """Have the task loaded. When the caller is cancelled meanwhile, the loading goes on.

        Raises:
            WorkerError: it cannot be loaded.
        """
        try:
            await asyncio.shield(self._start_loading())
        except WorkerError:
            self._loading = None
            await self._worker.close()  # the next one sees what was installed or mended meanwhile
            raise

    def warm_up(self, told: Callable[[BaseException | None], None]) -> None:
        """Have the task loaded without waiting for it, unless that was begun; `told` hears how it ended."""
        if self._loading is not None:
            return

        def end(loading: asyncio.Task[LoadReply]) -> None:
            if not loading.cancelled():
                told(loading.exception())

        self._start_loading().add_done_callback(end)

    def _start_loading(self) -> asyncio.Task[LoadReply]:
        if self._loading is None:
            self._loading = asyncio.create_task(
                self._worker.load(
                    self._task,
                    parameters=self._specification.task.parameters,
                    data=self._data,
                    version=self._specification.task.version,
                    tensors=self._specification.tensors,
                )
            )
        return self._loading

    async def train(
        self, base: Path, output: Path, context: RoundContext, on_progress: Callable[[Progress], None]
    ) -> TrainingReply:
        """Train from the model `base` to the file `output`; stops gently when cancelled.

        Raises:
            WorkerError: the task failed.
        """
        return await self._gently(self._worker.train(base, output, self._specification.tensors, context, on_progress))

    async def evaluate(self, model: Path) -> EvaluationReply:
        """Evaluate a model on the silo's validation data.

        Raises:
            WorkerError: the task failed.
        """
        return await self._worker.evaluate(model, self._specification.tensors)

    async def close(self) -> None:
        """End the process. It can be used again, and then loads again."""
        loading, self._loading = self._loading, None
        if loading is not None:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        await self._worker.close()

    async def _gently(self, call: Coroutine[Any, Any, T]) -> T:
        running = asyncio.create_task(call)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await self._worker.cancel(self._limits.stop_grace_seconds)
            await asyncio.gather(running, return_exceptions=True)
            raise
