"""Handwritten digits by logistic regression in numpy alone: a whole task without a framework. Reads files.

scikit-learn's copy of the set: 1797 images of 8x8 pixels in 17 greys, ten classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.datasets import load_digits

from consilo.tasks.silo_data import split_described_by
from consilo.training.partition import Indices
from consilo.training.task import Array, Evaluation, State, TrainingContext, TrainingResult
from consilo.training.values import Values

_FEATURES, _CLASSES = 64, 10
_GREYS = 16.0


class DigitsLinear:
    """Softmax regression trained by mini-batch SGD: 650 float32 parameters. Implements `Task` and `BaselineTask`."""

    version: ClassVar[str] = "1"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        values = Values(parameters)
        self.local_epochs = values.integer("local_epochs", 4, minimum=1)
        self.batch_size = values.integer("batch_size", 16, minimum=1)
        self.learning_rate = np.float32(values.real("learning_rate", 0.5))
        values.finish()

    def load(self, data: Mapping[str, Any]) -> None:
        """Take the silo's part of the set, as `split_described_by` says."""
        digits = load_digits()
        self.split = split_described_by(data, digits.target)
        self.images: Array = (digits.data / _GREYS).astype(np.float32)
        self.labels: Array = digits.target

    def initial_state(self, seed: int) -> State:
        """Zeros, whatever the seed: the problem is convex."""
        return {
            "weight": np.zeros((_FEATURES, _CLASSES), np.float32),
            "bias": np.zeros(_CLASSES, np.float32),
        }

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        """Gradient steps on the cross entropy, in place."""
        generator = np.random.Generator(np.random.PCG64(context.seed))
        train = self.split.train
        for epoch in range(self.local_epochs):
            order = generator.permutation(train)
            for start in range(0, len(order), self.batch_size):
                context.check()
                batch = order[start : start + self.batch_size]
                error = self._probabilities(state, batch)
                error[np.arange(len(batch)), self.labels[batch]] -= 1
                state["weight"] -= self.learning_rate * (self.images[batch].T @ error) / np.float32(len(batch))
                state["bias"] -= self.learning_rate * error.mean(axis=0)
            context.progress((epoch + 1) / self.local_epochs)
        return TrainingResult(state, len(train), self._evaluate(state, train).metrics)

    def evaluate(self, state: State) -> Evaluation:
        """Loss and accuracy on the silo's validation data."""
        return self._evaluate(state, self.split.validation)

    def test(self, state: State) -> Evaluation:
        """Loss and accuracy on the global test set."""
        return self._evaluate(state, self.split.test)

    def _evaluate(self, state: State, part: Indices) -> Evaluation:
        probabilities = self._probabilities(state, part)
        right = probabilities[np.arange(len(part)), self.labels[part]]
        loss = -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()
        accuracy = (probabilities.argmax(axis=1) == self.labels[part]).mean()
        return Evaluation(len(part), {"loss": float(loss), "accuracy": float(accuracy)})

    def _probabilities(self, state: State, part: Indices) -> Array:
        logits: Array = self.images[part] @ state["weight"] + state["bias"]
        exponentials: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials
