"""Benign or malignant, from thirty measurements of cell nuclei, by a small network. Reads files; torch.

scikit-learn's copy of the Wisconsin set: 569 samples of two classes. The measurements differ in magnitude by five
powers of ten, so they must be scaled, and the silos cannot share statistics of their data. Scaling by each silo's own
statistics would make one measurement mean different things in silos with different mixes of classes; batch
normalisation would publish each silo's means and variances in its updates. So every measurement is divided by a usual
value of its kind: round constants set by hand, to one or two digits, from the magnitudes that are published for these
measurements, as the silos' data dictionary would name units. Nothing is computed from the samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.utils.data import TensorDataset

from consilo.tasks.silo_data import split_described_by
from consilo.training.task import Evaluation, State
from consilo.training.torch_task import TorchTask

USUAL_VALUES: Final[dict[str, tuple[float, float, float]]] = {
    "radius": (15.0, 0.4, 15.0),
    "texture": (20.0, 1.0, 25.0),
    "perimeter": (100.0, 3.0, 100.0),
    "area": (700.0, 40.0, 900.0),
    "smoothness": (0.1, 0.007, 0.1),
    "compactness": (0.1, 0.03, 0.3),
    "concavity": (0.1, 0.03, 0.3),
    "concave points": (0.05, 0.01, 0.1),
    "symmetry": (0.2, 0.02, 0.3),
    "fractal dimension": (0.06, 0.004, 0.08),
}
"""A usual value of each measurement's mean over the nuclei of an image, of its standard error, of its largest three."""


class BreastCancer(TorchTask):
    """Classify samples as malignant (0) or benign (1). Implements `Task` and `BaselineTask`."""

    version: ClassVar[str] = "1"
    learning_rate = 0.05
    batch_size = 16

    def model(self) -> nn.Module:
        """One hidden layer: a thousand parameters."""
        return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))

    def datasets(self, data: Mapping[str, Any]) -> tuple[TensorDataset, TensorDataset]:
        """The silo's part as `split_described_by` says."""
        table = load_breast_cancer()
        usual = np.array(list(USUAL_VALUES.values())).T.reshape(
            -1
        )  # the set's order: all means, all errors, all largest
        features = torch.from_numpy((table.data / usual - 1).astype(np.float32))
        labels = torch.from_numpy(table.target.astype(np.int64))
        split = split_described_by(data, table.target)
        train, validation, self._test = (
            TensorDataset(features[part], labels[part])
            for part in map(torch.from_numpy, (split.train, split.validation, split.test))
        )
        return train, validation

    def test(self, state: State) -> Evaluation:
        """Evaluate on the global test set."""
        return self.evaluate_on(state, self._test)
