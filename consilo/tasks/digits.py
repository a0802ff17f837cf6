"""Handwritten digits, 8x8 pixels in 17 greys, by a small convolutional network. Reads files; torch.

scikit-learn's copy of the set: 1797 images of ten classes. The network has group normalisation and no batch
normalisation: where silos hold different classes, each silo's batch statistics would fit its own mix only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from consilo.tasks.silo_data import split_described_by
from consilo.training.task import Evaluation, State
from consilo.training.torch_task import TorchTask

_CLASSES = 10
_GREYS = 16.0


class Digits(TorchTask):
    """Classify digits. Implements `Task` and `BaselineTask`."""

    version: ClassVar[str] = "1"
    learning_rate = 0.05
    batch_size = 32

    def model(self) -> nn.Module:
        """Two convolutions and one hidden layer: 14 thousand float32 parameters."""
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.GroupNorm(4, 16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.GroupNorm(4, 32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 2 * 2, 64),
            nn.ReLU(),
            nn.Linear(64, _CLASSES),
        )

    def datasets(self, data: Mapping[str, Any]) -> tuple[TensorDataset, TensorDataset]:
        """The silo's part as `split_described_by` says."""
        digits = load_digits()
        images = torch.from_numpy((digits.images / _GREYS).astype(np.float32))[:, None]
        labels = torch.from_numpy(digits.target.astype(np.int64))
        split = split_described_by(data, digits.target)
        train, validation, self._test = (
            TensorDataset(images[part], labels[part])
            for part in map(torch.from_numpy, (split.train, split.validation, split.test))
        )
        return train, validation

    def test(self, state: State) -> Evaluation:
        """Evaluate on the global test set."""
        return self.evaluate_on(state, self._test)
