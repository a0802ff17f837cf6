"""A task whose training takes a while and depends on its base: what the runs with faults train."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from consilo.training.task import Evaluation, State, TrainingContext, TrainingResult
from consilo.training.values import Values

FLOATS: Final = 50_000


class Paced:
    """Halves the model and adds noise of the round's seed."""

    version: ClassVar[str] = "1"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take `milliseconds`: how long a training takes."""
        values = Values(parameters, "parameters")
        self._seconds = values.integer("milliseconds", minimum=0) / 1000
        values.finish()
        self._wait = threading.Event()

    def load(self, data: Mapping[str, Any]) -> None:
        """Take the number of samples, `samples`."""
        values = Values(data, "data")
        self._samples = values.integer("samples", minimum=1)
        values.finish()

    def initial_state(self, seed: int) -> State:
        """Zeros."""
        return {"weights": np.zeros(FLOATS, np.float32)}

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        """Take so long, then answer."""
        over = time.monotonic() + self._seconds
        while time.monotonic() < over:
            context.check()
            self._wait.wait(0.01)
        noise = np.random.default_rng(context.seed).standard_normal(len(state["weights"]), dtype=np.float32)
        return TrainingResult({"weights": state["weights"] * np.float32(0.5) + noise}, self._samples)

    def evaluate(self, state: State) -> Evaluation:
        """The mean weight."""
        return Evaluation(self._samples, {"mean": float(state["weights"].mean())})
