"""Checking what a task returned before anything of it leaves the worker. Pure; no I/O.

All functions raise `TaskResultInvalid` with a sentence for the task's author.
"""

from __future__ import annotations

import math
import numbers
import operator
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from consilo.aggregation import StateUnsuitable, all_finite, schema_of
from consilo.protocol.tensors import TensorSchema, TensorSpec
from consilo.training.errors import TaskResultInvalid
from consilo.training.task import Evaluation, State, TrainingResult

MAX_SAMPLES: Final = 2**29 - 1
MAX_METRICS: Final = 64

_METRIC_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,127}")
_EXAMPLES: Final = 3


def checked_schema(state: object, source: str) -> TensorSchema:
    """The schema of a state that a task's method `source` returned."""
    if not isinstance(state, Mapping):
        raise TaskResultInvalid(f"{source} returned {_kind(state)} as the state; return a dict of numpy arrays by name")
    for name, array in state.items():
        if not isinstance(name, str):
            raise TaskResultInvalid(f"{source} returned a state in which the name {name!r} is no string")
        if not isinstance(array, np.ndarray):
            raise TaskResultInvalid(f"{source} returned {_kind(array)} for tensor {name!r}; return numpy arrays")
    try:
        return schema_of(state)
    except StateUnsuitable as error:
        raise TaskResultInvalid(f"{source} returned a state that cannot be published: {error}") from error


def check_schema(actual: TensorSchema, expected: TensorSchema, source: str) -> None:
    """Refuse a state whose tensors are not those of the run."""
    if actual == expected:
        return
    have = {tensor.name: tensor for tensor in actual.tensors}
    want = {tensor.name: tensor for tensor in expected.tensors}
    if missing := sorted(set(want) - set(have)):
        raise TaskResultInvalid(f"the state of {source} lacks {_examples(missing)}, which the run's model has")
    if unknown := sorted(set(have) - set(want)):
        raise TaskResultInvalid(
            f"the state of {source} holds {_examples(unknown)}, which the run's model does not have"
        )
    name = next(name for name in want if have[name] != want[name])
    raise TaskResultInvalid(f"the state of {source} has {name!r} as {_say(have[name])}, the run's {_say(want[name])}")


def check_finite(state: State, source: str) -> None:
    """Refuse a state with a NaN or an infinity in it."""
    bad = sorted(name for name, array in state.items() if not all_finite(np.ascontiguousarray(array)))
    if bad:
        raise TaskResultInvalid(
            f"{source} returned numbers that are not finite in {_examples(bad)}; "
            "training diverged: lower the learning rate, or look for bad values in the data"
        )


def check_training(result: object, expected: TensorSchema) -> tuple[int, dict[str, float]]:
    """Check all of a training's result; its number of samples and metrics as plain numbers."""
    if not isinstance(result, TrainingResult):
        raise TaskResultInvalid(f"train returned {_kind(result)}; return a TrainingResult")
    check_schema(checked_schema(result.state, "train"), expected, "train")
    check_finite(result.state, "train")
    return _samples(result.num_samples, "train"), _metrics(result.metrics, "train")


def check_evaluation(result: object, source: str) -> tuple[int, dict[str, float]]:
    """Check an evaluation; its number of samples and metrics as plain numbers."""
    if not isinstance(result, Evaluation):
        raise TaskResultInvalid(f"{source} returned {_kind(result)}; return an Evaluation")
    return _samples(result.num_samples, source), _metrics(result.metrics, source)


def _samples(value: Any, source: str) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TaskResultInvalid(f"{source} returned num_samples as {_kind(value)}; return an integer") from None
    if isinstance(value, bool) or not 1 <= count <= MAX_SAMPLES:
        raise TaskResultInvalid(f"{source} returned num_samples {value}; it must be between 1 and {MAX_SAMPLES}")
    return count


def _metrics(value: object, source: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise TaskResultInvalid(f"{source} returned metrics as {_kind(value)}; return a dict of numbers by name")
    if len(value) > MAX_METRICS:
        raise TaskResultInvalid(f"{source} returned {len(value)} metrics; at most {MAX_METRICS} can be published")
    checked = {}
    for name, number in value.items():
        if not (isinstance(name, str) and _METRIC_NAME.fullmatch(name)):
            raise TaskResultInvalid(
                f"{source} returned a metric named {str(name)[:64]!r}; use letters, digits, _ . : -"
            )
        if not isinstance(number, numbers.Real) or not math.isfinite(number):
            raise TaskResultInvalid(
                f"{source} returned metric {name!r} as {str(number)[:64]}; it must be a finite number"
            )
        checked[name] = float(number)
    return checked


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _say(tensor: TensorSpec) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


def _examples(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_EXAMPLES])
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES} more"
