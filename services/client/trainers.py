"""The port to whatever trains, and its implementation by worker processes. No I/O of its own.

process   `services.client.trainer`: a warm process of the client
job       `services.client.jobs`: a Kubernetes Job for each training
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from consilo.protocol.specification import Specification
from consilo.training.messages import EvaluationReply, Progress, RoundContext, TrainingReply
from services.client.settings import WorkerLimits
from services.client.trainer import ProcessTrainer


class Trainer(Protocol):
    """Trains and evaluates the models of one run. What fails raises a `WorkerError`."""

    @property
    def is_loading(self) -> bool:
        """Whether the task is being loaded."""
        ...

    @property
    def is_loaded(self) -> bool:
        """Whether nothing has to be loaded before a training."""
        ...

    async def load(self) -> None:
        """Have the task loaded. When the caller is cancelled meanwhile, the loading goes on."""
        ...

    def warm_up(self, told: Callable[[BaseException | None], None]) -> None:
        """Have the task loaded without waiting for it, unless that was begun; `told` hears how it ended."""
        ...

    async def train(
        self, base: Path, output: Path, context: RoundContext, on_progress: Callable[[Progress], None]
    ) -> TrainingReply:
        """Train from the model `base` to the file `output`. When the caller is cancelled, the training is stopped."""
        ...

    async def evaluate(self, model: Path) -> EvaluationReply:
        """Evaluate a model on the silo's validation data."""
        ...

    async def close(self) -> None:
        """End what is being done. The trainer can be used again."""
        ...


class TrainersNotReady(Exception):
    """No training can begin now. The message says why."""


class Trainers(Protocol):
    """Makes the trainers of a silo's runs, within a block."""

    async def __aenter__(self) -> Self:
        """Make ready."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go; the trainers have been closed."""
        ...

    def trainer(self, run: str, task: str, specification: Specification) -> Trainer:
        """The trainer of a run, with the task `module:Class`."""
        ...

    async def check(self) -> None:
        """Return when trainings can begin.

        Raises:
            TrainersNotReady: they cannot.
        """
        ...


class ProcessTrainers:
    """Trainers that are worker processes of the client. A `Trainers`.

    Args:
        data: what the silo's operator says about the data.
        limits: of the workers.
        name: for the log.
    """

    def __init__(self, data: Mapping[str, Any], limits: WorkerLimits, name: str) -> None:
        self._data = data
        self._limits = limits
        self._name = name

    async def __aenter__(self) -> Self:
        """Nothing has to be made ready."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left."""

    def trainer(self, run: str, task: str, specification: Specification) -> Trainer:
        """A worker for a run; it starts with its first task."""
        return ProcessTrainer(task, specification, self._data, self._limits, self._name)

    async def check(self) -> None:
        """They always can."""
