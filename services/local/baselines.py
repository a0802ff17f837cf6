"""What the federated model is compared with: training in one place, on all data and on each silo's. Starts processes.

The same task, initial model, number of epochs and test set as the federated run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from consilo.protocol.tensors import TensorSchema
from consilo.training.messages import RoundContext
from consilo.training.worker_handle import TrainingWorker
from services.local.settings import DemoSettings


@dataclass(frozen=True)
class Baseline:
    """A model trained in one place.

    Attributes:
        accuracy: on the global test set.
        seconds: of training.
    """

    accuracy: float
    seconds: float


async def test_accuracy(settings: DemoSettings, model: Path, tensors: TensorSchema) -> float:
    """Accuracy of a model on the global test set."""
    async with TrainingWorker(name="test") as worker:
        await worker.load(settings.task_class, parameters={}, data=settings.data_of(None), tensors=tensors)
        return (await worker.test(model, tensors)).metrics["accuracy"]


async def train_alone(
    settings: DemoSettings,
    silo: int | None,
    *,
    initial: Path,
    tensors: TensorSchema,
    directory: Path,
) -> Baseline:
    """Train from the initial model on one silo's data, or on all (None), for as many epochs as the federated run."""
    name = "pooled" if silo is None else f"silo-{silo}"
    base = initial
    async with TrainingWorker(name=name) as worker:
        await worker.load(settings.task_class, parameters={}, data=settings.data_of(silo), tensors=tensors)
        started = monotonic()
        for number in range(settings.rounds):
            output = directory / f"{name}-{number % 2}.safetensors"
            context = RoundContext(run="baseline", round=number, attempt=1, seed=settings.seed + number)
            await worker.train(base, output, tensors, context)
            base = output
        seconds = monotonic() - started
        return Baseline((await worker.test(base, tensors)).metrics["accuracy"], seconds)
