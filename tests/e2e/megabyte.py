"""A task that does not train, with a model of a megabyte: what a round costs when training costs nothing.

A silo's operator installs it by its source alone, so that it imports nothing but the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from consilo.training.task import Evaluation, State, TrainingContext, TrainingResult

FLOATS = 250_000


class Megabyte:
    """One float32 tensor; `train` returns the silo's own, made once."""

    version = "1"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._own: State = {}

    def load(self, data: Mapping[str, Any]) -> None:
        """Make the silo's weights from its number `silo`."""
        generator = np.random.default_rng(data["silo"])
        self._own = {"weights": generator.standard_normal(FLOATS, dtype=np.float32)}

    def initial_state(self, seed: int) -> State:
        """Zeros."""
        return {"weights": np.zeros(FLOATS, dtype=np.float32)}

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        """Return the silo's weights, whatever the global model is."""
        context.check()
        return TrainingResult(self._own, num_samples=100)

    def evaluate(self, state: State) -> Evaluation:
        """Count the samples."""
        return Evaluation(100, {"mean": float(state["weights"][0])})
