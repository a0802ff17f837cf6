"""How an operator describes a ready task's data: which part of a public set a silo plays with. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consilo.training.errors import TaskValueInvalid
from consilo.training.partition import PartitionSettings, Split, split_for
from consilo.training.task import Array
from consilo.training.values import Values


def split_described_by(data: Mapping[str, Any], labels: Array) -> Split:
    """The split that e.g. `{"silo": 0, "silos": 4, "alpha": "0.5", "seed": 7}` describes.

    Without `silo`, or with null, all silos' parts are pooled. All but `silo` has defaults, and must be the same for all
    silos of a run, else their parts overlap.

    Args:
        data: the operator's description; also `test_fraction`, `validation_fraction` and `minimum_samples`.
        labels: class of each sample of the whole set, shape [samples].

    Raises:
        TaskValueInvalid: a value is unknown, out of range or does not fit the others.
    """
    values = Values(data, "data")
    defaults = PartitionSettings()
    settings = PartitionSettings(
        silos=values.integer("silos", defaults.silos, minimum=1, maximum=10_000),
        alpha=values.real("alpha", defaults.alpha),
        seed=values.integer("seed", defaults.seed),
        test_fraction=values.real("test_fraction", defaults.test_fraction, maximum=1.0),
        validation_fraction=values.real("validation_fraction", defaults.validation_fraction, maximum=1.0),
        minimum_samples=values.integer("minimum_samples", defaults.minimum_samples),
    )
    silo = values.optional_integer("silo")
    values.finish()
    try:
        return split_for(labels, settings, silo)
    except ValueError as error:
        raise TaskValueInvalid(f"data: {error}") from error
