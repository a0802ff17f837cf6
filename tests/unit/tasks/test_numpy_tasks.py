"""The ready task in numpy: digits by logistic regression."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from consilo.tasks.digits_linear import DigitsLinear
from consilo.training.errors import TaskValueInvalid
from consilo.training.task import BaselineTask, Task, TrainingContext, copy_of
from tests.unit.tasks.federation import compare, loaded

DATA = {"silo": 0, "silos": 4, "alpha": "0.5", "seed": 7}


def test_it_is_a_task_with_a_test_set() -> None:
    task: Task = DigitsLinear({})
    assert isinstance(task, BaselineTask)


def test_federated_training_comes_near_pooled_and_clearly_beats_every_silo_alone() -> None:
    for seed in (0, 7, 8):
        accuracies = compare(DigitsLinear, {}, {"alpha": "0.5", "seed": seed}, silos=4, rounds=10)
        assert accuracies.federated > 0.92
        assert accuracies.federated > accuracies.pooled - 0.02
        assert accuracies.federated > max(accuracies.local) + 0.05


def test_the_same_round_trains_to_the_same_bytes() -> None:
    task = loaded(DigitsLinear, {}, DATA)
    state = task.initial_state(1)
    first = task.train(copy_of(state), TrainingContext(seed=3)).state
    second = task.train(copy_of(state), TrainingContext(seed=3)).state
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert {name: array.dtype for name, array in first.items()} == dict.fromkeys(first, np.dtype(np.float32))


def test_it_never_imports_torch() -> None:
    code = "import sys, consilo.tasks.digits_linear; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"silo": 4, "silos": 4}, "silo 4 is not one of 0 to 3"),
        ({"silo": -1}, "must be between 0 and"),
        ({"alpha": "0"}, "alpha must be a positive number"),
        ({"silos": 0}, "must be between 1 and"),
        ({"directory": "/data"}, "unknown data 'directory'"),
        ({"minimum_samples": 1000}, "too few"),
    ],
)
def test_data_that_is_described_wrongly_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskValueInvalid, match=message):
        loaded(DigitsLinear, {}, data)
