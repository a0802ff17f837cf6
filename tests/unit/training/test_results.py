"""What a task returned is checked before anything of it is published."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from consilo.aggregation import schema_of
from consilo.training.errors import TaskResultInvalid
from consilo.training.results import MAX_SAMPLES, check_evaluation, check_finite, check_training, checked_schema
from consilo.training.task import Evaluation, TrainingResult

STATE: dict[str, Any] = {"mean": np.zeros((), np.float32), "steps": np.zeros(1, np.int64)}
SCHEMA = schema_of(STATE)


def result_with(**arrays: Any) -> TrainingResult:
    return TrainingResult({**STATE, **arrays}, 1)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((), "train returned a tuple; return a TrainingResult"),
        (None, "train returned None; return a TrainingResult"),
        (TrainingResult(None, 1), "returned None as the state"),  # type: ignore[arg-type]
        (TrainingResult({}, 1), "cannot be published"),
        (TrainingResult({1: STATE["mean"]}, 1), "the name 1 is no string"),  # type: ignore[dict-item]
        (TrainingResult({"../mean": STATE["mean"]}, 1), "cannot be published"),
        (result_with(mean=[1.0]), "a list for tensor 'mean'; return numpy arrays"),
        (result_with(mean=np.zeros(2, np.float32)), r"has 'mean' as F32 \[2\], the run's F32 \[\]"),
        (result_with(mean=np.zeros((), np.float64)), r"has 'mean' as F64 \[\], the run's F32 \[\]"),
        (result_with(mean=np.zeros((), bool)), "dtype bool; allowed are"),
        (result_with(mean=np.zeros((), object)), "dtype object; allowed are"),
        (result_with(mean=np.zeros((), ">f4")), "little-endian"),
        (TrainingResult({"mean": STATE["mean"]}, 1), "lacks 'steps'"),
        (result_with(a=STATE["mean"], b=STATE["mean"], c=STATE["mean"], d=STATE["mean"]), "'a', 'b', 'c' and 1 more"),
        (result_with(mean=np.array(np.nan, np.float32)), "not finite in 'mean'; training diverged"),
        (result_with(mean=np.array(-np.inf, np.float32)), "not finite in 'mean'"),
        (TrainingResult(STATE, 0), "num_samples 0; it must be between 1"),
        (TrainingResult(STATE, MAX_SAMPLES + 1), "it must be between 1"),
        (TrainingResult(STATE, True), "num_samples True"),
        (TrainingResult(STATE, 1.5), "num_samples as a float"),  # type: ignore[arg-type]
        (TrainingResult(STATE, 1, {"loss": float("nan")}), "metric 'loss' as nan"),
        (TrainingResult(STATE, 1, {"loss": float("inf")}), "metric 'loss' as inf"),
        (TrainingResult(STATE, 1, {"loss": "low"}), "metric 'loss' as low"),  # type: ignore[dict-item]
        (TrainingResult(STATE, 1, {"my loss": 1.0}), "metric named 'my loss'"),
        (TrainingResult(STATE, 1, {"loss\n": 1.0}), "metric named"),
        (TrainingResult(STATE, 1, {"x" * 129: 1.0}), "metric named"),
        (TrainingResult(STATE, 1, [1.0]), "metrics as a list"),  # type: ignore[arg-type]
        (TrainingResult(STATE, 1, {f"m{i}": 1.0 for i in range(65)}), "65 metrics; at most 64"),
    ],
)
def test_a_result_that_cannot_be_published_is_refused(result: object, message: str) -> None:
    with pytest.raises(TaskResultInvalid, match=message):
        check_training(result, SCHEMA)


def test_numbers_of_numpy_become_plain_numbers() -> None:
    numbers: dict[str, Any] = {"loss": np.float32(0.5), "epochs": 2}
    count: Any = np.int64(5)
    samples, metrics = check_training(TrainingResult(STATE, count, numbers), SCHEMA)
    assert (samples, metrics) == (5, {"loss": 0.5, "epochs": 2.0})
    assert type(samples) is int
    assert {type(value) for value in metrics.values()} == {float}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_number_that_is_not_finite_is_found_in_every_dtype_and_layout(dtype: Any) -> None:
    array = np.zeros((4, 6), dtype)
    array[3, 4] = np.nan
    for view in (array, array.T, array[::2, ::2], array[1::2, ::2]):
        if np.isnan(view.astype(np.float64)).any():
            with pytest.raises(TaskResultInvalid):
                check_finite({"a": view}, "train")
        else:
            check_finite({"a": view}, "train")


def test_an_evaluation_is_checked_like_a_training() -> None:
    assert check_evaluation(Evaluation(3, {"loss": 1}), "evaluate") == (3, {"loss": 1.0})
    with pytest.raises(TaskResultInvalid, match="test returned a dict; return an Evaluation"):
        check_evaluation({"loss": 1.0}, "test")
    with pytest.raises(TaskResultInvalid, match="evaluate returned num_samples 0"):
        check_evaluation(Evaluation(0), "evaluate")


def test_the_schema_of_a_state_is_that_of_the_artifact() -> None:
    assert checked_schema(STATE, "train") == SCHEMA
