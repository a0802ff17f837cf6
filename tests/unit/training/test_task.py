"""What tasks are given: values, seeds, a context that says when to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from consilo.training.errors import WORKER_ERRORS, TaskValueInvalid, TrainingStopped, WorkerError
from consilo.training.task import BaselineTask, Evaluation, State, Task, TrainingContext, copy_of, training_seed
from consilo.training.values import Values
from tests.unit.training.example_tasks import Mean


def test_a_class_with_the_methods_is_a_task_without_inheriting() -> None:
    task: Task = Mean({})
    assert not isinstance(task, BaselineTask)


def test_a_method_test_makes_a_baseline_task() -> None:
    class WithTest(Mean):
        def test(self, state: State) -> Evaluation:
            return self.evaluate(state)

    assert isinstance(WithTest({}), BaselineTask)


def test_seeds_differ_by_run_round_and_member_and_fit_every_json_reader() -> None:
    seeds = {
        training_seed(run, round, member)
        for run in ("a", "b")
        for round in range(10)
        for member in ("HospitalA/silo", "HospitalB/silo")
    }
    assert len(seeds) == 40
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_a_seed_never_changes() -> None:
    assert training_seed("run", 3, "HospitalA/silo") == 1_659_928_905_304_532


def test_check_raises_once_the_round_closed() -> None:
    stopped = threading.Event()
    context = TrainingContext(stopped=stopped)
    context.check()
    stopped.set()
    with pytest.raises(TrainingStopped):
        context.check()
    assert context.checks == 2


def test_progress_is_passed_on_and_needs_no_listener() -> None:
    reports: list[tuple[float, dict[str, float]]] = []
    TrainingContext(report=lambda fraction, metrics: reports.append((fraction, dict(metrics)))).progress(0.5, loss=2.0)
    TrainingContext().progress(0.5)
    assert reports == [(0.5, {"loss": 2.0})]


def test_a_copy_of_a_state_is_deep() -> None:
    state = {"a": np.zeros(2, np.float32)}
    copy = copy_of(state)
    copy["a"] += 1
    assert state["a"].tolist() == [0, 0]


def test_every_code_belongs_to_one_error() -> None:
    assert {kind.code for kind in WorkerError.__subclasses__()} == set(WORKER_ERRORS)


@pytest.mark.parametrize("value", [3, "3"])
def test_integers_may_be_given_as_text(value: Any) -> None:
    assert Values({"n": value}).integer("n") == 3


@pytest.mark.parametrize(("value", "expected"), [("0.25", 0.25), (0.25, 0.25), (1, 1.0), ("1e-3", 0.001)])
def test_numbers_may_be_given_as_text(value: Any, expected: float) -> None:
    assert Values({"x": value}).real("x") == expected


def test_what_is_not_given_has_its_default_or_is_asked_for() -> None:
    values = Values({"null": None})
    assert values.integer("n", 2) == 2
    assert values.real("x", 0.5) == 0.5
    assert values.text("t", "a") == "a"
    assert values.optional_integer("null") is None
    assert values.optional_integer("missing") is None
    with pytest.raises(TaskValueInvalid, match="parameter 'directory' must be given"):
        values.text("directory")


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (Values.integer, "3.0", "must be an integer"),
        (Values.integer, 3.0, "must be an integer"),
        (Values.integer, True, "must be an integer"),
        (Values.integer, "9" * 5000, "must be an integer"),
        (Values.integer, -1, "must be between 0 and"),
        (Values.optional_integer, "x", "must be an integer"),
        (Values.real, "nan", "must be a finite number"),
        (Values.real, "inf", "must be a finite number"),
        (Values.real, "a", "must be a finite number"),
        (Values.real, [1], "must be a finite number"),
        (Values.real, True, "must be a finite number"),
        (Values.real, 10**400, "must be a finite number"),
        (Values.real, -0.5, "must be between 0.0 and inf"),
        (Values.text, 5, "must be a string"),
    ],
)
def test_values_of_the_wrong_kind_are_refused_in_words(
    read: Callable[[Values, str], Any], value: Any, message: str
) -> None:
    with pytest.raises(TaskValueInvalid, match=message) as caught:
        read(Values({"value": value}), "value")
    assert len(str(caught.value)) < 200


def test_a_misspelt_name_is_not_taken_for_its_default() -> None:
    values = Values({"learning_rat": "0.1"})
    values.real("learning_rate", 0.5)
    assert values.rest() == {"learning_rat": "0.1"}
    with pytest.raises(TaskValueInvalid, match="unknown parameter 'learning_rat'; known: learning_rate"):
        values.finish()
