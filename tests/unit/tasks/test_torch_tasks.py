"""The ready tasks in torch: digits and breast cancer."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.training.check import check_task
from consilo.training.task import BaselineTask, Task
from tests.unit.tasks.federation import alone, compare, federate

pytest.importorskip("torch")

from consilo.tasks.breast_cancer import USUAL_VALUES, BreastCancer
from consilo.tasks.digits import Digits

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("kind", [Digits, BreastCancer])
def test_they_are_tasks_with_a_test_set(kind: type[Any]) -> None:
    task: Task = kind({})
    assert isinstance(task, BaselineTask)


def test_federated_breast_cancer_comes_near_pooled() -> None:
    for seed in (0, 7, 8):
        accuracies = compare(BreastCancer, {}, {"alpha": "0.5", "seed": seed}, silos=4, rounds=10)
        assert accuracies.federated > 0.95
        assert accuracies.federated > accuracies.pooled - 0.02
        assert accuracies.federated > max(accuracies.local)


@pytest.mark.slow
def test_federated_digits_come_near_pooled_and_clearly_beat_the_largest_silo_alone() -> None:
    data = {"alpha": "0.5", "seed": 7}
    pooled, _ = alone(Digits, {}, data, silos=4, silo=None, rounds=10)
    largest, _ = alone(Digits, {}, data, silos=4, silo=1, rounds=10)
    federated = federate(Digits, {}, data, silos=4, rounds=10)
    assert pooled >= 0.97
    assert federated > pooled - 0.02
    assert federated > largest + 0.1


def test_the_measurements_are_those_of_the_set_in_its_order() -> None:
    from sklearn.datasets import load_breast_cancer

    names = list(load_breast_cancer().feature_names)
    assert names == [
        name
        for form in ("mean {}", "{} error", "worst {}")
        for name in (form.format(measurement) for measurement in USUAL_VALUES)
    ]


@pytest.mark.slow
def test_a_ready_task_passes_its_check_in_a_worker() -> None:
    data = {"silo": 0, "silos": 4, "alpha": "0.5", "seed": 7}
    findings = check_task("consilo.tasks.digits:Digits", {}, data)
    assert [finding.sentence for finding in findings if not finding.ok] == []
    assert findings[-1].step == "test"
