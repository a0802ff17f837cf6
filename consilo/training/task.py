"""What a task is: model, data loading, training and evaluation, as Python code that a silo's operator installs. No I/O.

A task is any class with the five methods of `Task`; it need not inherit from anything, and any framework will do. Its
model is a `State`: named numpy arrays. The whole of a task in numpy that learns the mean of a column:

    class Mean:
        def __init__(self, parameters):
            self.rate = float(parameters.get("learning_rate", "0.5"))

        def load(self, data):
            self.values = np.loadtxt(data["file"], dtype=np.float32)

        def initial_state(self, seed):
            return {"mean": np.zeros((), np.float32)}

        def train(self, state, context):
            for value in self.values:
                context.check()
                state["mean"] += np.float32(self.rate) * (value - state["mean"])
            return TrainingResult(state, num_samples=len(self.values))

        def evaluate(self, state):
            return Evaluation(len(self.values), {"loss": float(np.mean((self.values - state["mean"]) ** 2))})

The same seed, state, parameters and data must give the same result wherever the hardware allows it: a silo that trains
again after a restart then gives the update it would have given.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from consilo.training.errors import TrainingStopped

JSON: TypeAlias = JsonValue
"""Any JSON value. Numbers that are not integers travel as strings: `"0.1"`. `consilo.training.values` reads both."""

Array: TypeAlias = NDArray[Any]

State: TypeAlias = dict[str, Array]
"""A model: arrays by name. Their dtypes: float64/32/16, bfloat16 of ml_dtypes, int64/32/16/8, uint8."""

DEFAULT_VERSION = "1"
"""The version of a task whose class says nothing in an attribute `version`."""

_SEED_BITS = 53  # every JSON reader holds such an integer exactly


@dataclass(frozen=True)
class Evaluation:
    """How a model does on some data.

    Attributes:
        num_samples: samples it was evaluated on, >= 1.
        metrics: finite numbers by name, e.g. `loss`, `accuracy`.
    """

    num_samples: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """A local model and what is published with it.

    Attributes:
        state: names, shapes and dtypes exactly as in the state that training began from.
        num_samples: samples trained on, each counted once however many epochs; the weight of the update.
        metrics: finite numbers by name. Selection policies may read them.
    """

    state: State
    num_samples: int
    metrics: Mapping[str, float] = field(default_factory=dict)


def _report_nowhere(fraction: float, metrics: Mapping[str, float]) -> None:
    """Progress of a training that nobody watches."""


class TrainingContext:
    """What a task is told of the round it trains in, and how it hears that the round is over.

    Attributes:
        run: the run's name.
        round: number of the global model that training begins from.
        attempt: number of the attempt in the round.
        seed: for every random choice in training, in [0, 2**53). The same for every attempt of a member in a round.
        checks: how often `check` was called.
    """

    def __init__(
        self,
        *,
        run: str = "local",
        round: int = 0,
        attempt: int = 0,
        seed: int = 0,
        stopped: threading.Event | None = None,
        report: Callable[[float, Mapping[str, float]], None] = _report_nowhere,
    ) -> None:
        self.run = run
        self.round = round
        self.attempt = attempt
        self.seed = seed
        self.checks = 0
        self._stopped = stopped or threading.Event()
        self._report = report

    def check(self) -> None:
        """Call this for every batch.

        Raises:
            TrainingStopped: the round closed; let the exception pass.
        """
        self.checks += 1
        if self._stopped.is_set():
            raise TrainingStopped("the round closed")

    def progress(self, fraction: float, **metrics: float) -> None:
        """Say how far training is, `fraction` in [0, 1]. Cheap: calls that come too often are dropped."""
        self._report(fraction, metrics)


class Task(Protocol):
    """Model, data loading, training and evaluation. See the module's text for a whole one.

    A class may have an attribute `version: str` (else it counts as `"1"`); the run's specification names it, and a silo
    with another version does not train. Write a new version whenever a silo with the old code would give another model.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take the run's parameters, which are the same for all silos: learning rate, local epochs.

        Raises:
            TaskValueInvalid: a parameter is missing, unknown or out of range (other exceptions do as well).
        """

    def load(self, data: Mapping[str, Any]) -> None:
        """Load the silo's data, once, before training. `data` is from the silo's operator: a directory, a query."""

    def initial_state(self, seed: int) -> State:
        """The untrained model; the same for the same seed. Called with or without data loaded."""

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        """Train from `state` on the silo's training data. The arrays of `state` are the task's to change."""

    def evaluate(self, state: State) -> Evaluation:
        """Evaluate `state` on the silo's own validation data, which it never trains on. Must leave `state` as it is."""


@runtime_checkable
class BaselineTask(Protocol):
    """A task that also knows a global test set, on which no silo trains: to compare federated with pooled training."""

    def test(self, state: State) -> Evaluation:
        """Evaluate `state` on the global test set. Must leave `state` as it is."""


def training_seed(run: str, round: int, member: str) -> int:
    """The seed of one member's training in one round: in [0, 2**53), the same for every attempt.

    Derived by SHA-256, so that silos draw independently and a repeated training draws the same.
    """
    digest = hashlib.sha256(f"consilo-training-seed\n{run}\n{round}\n{member}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def copy_of(state: Mapping[str, Array]) -> State:
    """A deep copy of a state."""
    return {name: np.array(array) for name, array in state.items()}
