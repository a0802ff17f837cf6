"""A task that does not train: what a round costs when training costs nothing. Each silo has weights of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from consilo.training.task import Evaluation, State, TrainingContext, TrainingResult
from consilo.training.values import Values

FLOATS_PER_MEGABYTE = 250_000


class Noop:
    """One float32 tensor; `train` returns the silo's own, made once."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take `megabytes`: size of the model."""
        values = Values(parameters, "parameters")
        self._floats = values.integer("megabytes", 1, minimum=1) * FLOATS_PER_MEGABYTE
        values.finish()
        self._own: State = {}

    def load(self, data: Mapping[str, Any]) -> None:
        """Make the silo's weights from its number `silo`."""
        values = Values(data, "data")
        generator = np.random.default_rng(values.integer("silo", 0, minimum=0))
        values.finish()
        self._own = {"weights": generator.standard_normal(self._floats, dtype=np.float32)}

    def initial_state(self, seed: int) -> State:
        """Zeros."""
        return {"weights": np.zeros(self._floats, dtype=np.float32)}

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        """Return the silo's weights, whatever the global model is."""
        context.check()
        return TrainingResult(self._own, num_samples=100)

    def evaluate(self, state: State) -> Evaluation:
        """Count the samples."""
        return Evaluation(100, {"mean": float(state["weights"][0])})
