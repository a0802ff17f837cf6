"""Federated averaging in one process, to compare federated with pooled and with local training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from consilo.training.task import State, Task, TrainingContext, copy_of, training_seed


@dataclass(frozen=True)
class Accuracies:
    """Accuracy on the global test set after equally many epochs over the data."""

    pooled: float
    federated: float
    local: list[float]
    samples: list[int]


def average(states: list[State], weights: list[int]) -> State:
    """The mean weighted by samples; for integer tensors the maximum."""
    return {
        name: (
            np.max([state[name] for state in states], axis=0)
            if first.dtype.kind in "iu"
            else (np.average([state[name].astype(np.float64) for state in states], axis=0, weights=weights)).astype(
                first.dtype
            )
        )
        for name, first in states[0].items()
    }


def _train(task: Task, state: State, round: int, member: str) -> tuple[State, int]:
    context = TrainingContext(run="comparison", round=round, seed=training_seed("comparison", round, member))
    result = task.train(copy_of(state), context)
    return result.state, result.num_samples


def accuracy_of(task: Any, state: State) -> float:
    """Accuracy on the global test set."""
    return float(task.test(state).metrics["accuracy"])


def loaded(kind: type[Any], parameters: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    """A task with data."""
    task = kind(parameters)
    task.load(data)
    return task


def federate(
    kind: type[Any], parameters: Mapping[str, Any], data: Mapping[str, Any], *, silos: int, rounds: int
) -> float:
    """Accuracy of the federated model."""
    tasks = [loaded(kind, parameters, {**data, "silos": silos, "silo": silo}) for silo in range(silos)]
    state = tasks[0].initial_state(1)
    for round in range(rounds):
        updates = [_train(task, state, round, f"Organisation{silo}/silo") for silo, task in enumerate(tasks)]
        state = average([update for update, _ in updates], [samples for _, samples in updates])
    return accuracy_of(tasks[0], state)


def alone(
    kind: type[Any],
    parameters: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    silos: int,
    silo: int | None,
    rounds: int,
) -> tuple[float, int]:
    """Accuracy of a model trained on one silo's data, or on all silos' data pooled, and the samples it saw."""
    task = loaded(kind, parameters, {**data, "silos": silos, "silo": silo})
    state = task.initial_state(1)
    samples = 0
    for round in range(rounds):
        state, samples = _train(task, state, round, f"alone-{silo}")
    return accuracy_of(task, state), samples


def compare(
    kind: type[Any], parameters: Mapping[str, Any], data: Mapping[str, Any], *, silos: int, rounds: int
) -> Accuracies:
    """Train pooled, federated and in each silo alone."""
    pooled, _ = alone(kind, parameters, data, silos=silos, silo=None, rounds=rounds)
    locals_ = [alone(kind, parameters, data, silos=silos, silo=silo, rounds=rounds) for silo in range(silos)]
    federated = federate(kind, parameters, data, silos=silos, rounds=rounds)
    return Accuracies(pooled, federated, [accuracy for accuracy, _ in locals_], [samples for _, samples in locals_])
