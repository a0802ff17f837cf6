"""Real worker processes for the tests of training."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from consilo.training.messages import InitialStateReply, RoundContext, TrainingReply
from consilo.training.worker_handle import OnProgress, TrainingWorker
from consilo.training.worker_process import WorkerSettings

ROOT = Path(__file__).parents[3]
MEAN = "tests.unit.training.example_tasks:Mean"
CONTEXT = RoundContext(run="trial", round=4, attempt=0, seed=9)


class Workplace:
    """A worker with a directory of its own, and the initial model of the example task in it."""

    def __init__(self, worker: TrainingWorker, directory: Path) -> None:
        self.worker = worker
        self.base = directory / "base.safetensors"
        self.output = directory / "output.safetensors"
        self.initial: InitialStateReply | None = None

    async def prepare(self, behaviour: str = "", task: str = MEAN, **data: Any) -> InitialStateReply:
        """Load the task and write the initial model."""
        await self.worker.load(task, parameters={"behaviour": behaviour}, data=data)
        self.initial = await self.worker.initial_state(1, self.base)
        return self.initial

    async def train(self, on_progress: OnProgress | None = None) -> TrainingReply:
        """Train from the initial model."""
        assert self.initial is not None
        return await self.worker.train(self.base, self.output, self.initial.tensors, CONTEXT, on_progress)

    async def begin_training(self) -> asyncio.Task[TrainingReply]:
        """Begin to train, and wait until the worker has said so."""
        begun = asyncio.Event()
        training = asyncio.create_task(self.train(lambda _: begun.set()))
        async with asyncio.timeout(30):
            await begun.wait()
        return training


@pytest.fixture
def settings() -> WorkerSettings:
    return WorkerSettings(environment={"PYTHONPATH": str(ROOT)}, progress_interval_seconds=0.0)


@pytest.fixture
async def make_workplace(
    settings: WorkerSettings, tmp_path: Path
) -> AsyncIterator[Callable[[WorkerSettings], Awaitable[Workplace]]]:
    workers = []

    async def make(changed: WorkerSettings = settings) -> Workplace:
        workers.append(TrainingWorker(changed, name="HospitalA/silo"))
        return Workplace(workers[-1], tmp_path)

    yield make
    for worker in workers:
        await worker.close()


@pytest.fixture
async def place(make_workplace: Callable[[], Awaitable[Workplace]]) -> Workplace:
    return await make_workplace()
