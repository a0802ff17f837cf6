"""Dividing one labelled data set among silos, as experiments in federated learning do. Pure; no I/O.

Everything here is a function of (labels, settings, seed) alone, so each silo of a demonstration computes the whole
division by itself and takes its own part. Parts are ascending arrays of indices (int64); no index is in two of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilo.training.task import Array

Indices = NDArray[np.int64]

_TEST_STREAM, _SILO_STREAM, _VALIDATION_STREAM = 0, 1, 2


@dataclass(frozen=True)
class PartitionSettings:
    """How a data set is divided.

    Attributes:
        silos: number of silos, >= 1.
        alpha: concentration of the Dirichlet distribution, > 0. Small: each class sits in few silos. Large: all alike.
        seed: >= 0.
        test_fraction: part of the whole that nobody trains on, in (0, 1).
        validation_fraction: part of each silo's samples that it holds back, in (0, 1).
        minimum_samples: samples that every silo gets at least, >= 2 (one to train on, one to validate on).
    """

    silos: int = 4
    alpha: float = 0.5
    seed: int = 0
    test_fraction: float = 0.2
    validation_fraction: float = 0.2
    minimum_samples: int = 10


@dataclass(frozen=True)
class Split:
    """Indices of the samples of one silo, or of all silos pooled, and of the global test set."""

    train: Indices
    validation: Indices
    test: Indices


def split_for(labels: Array, settings: PartitionSettings, silo: int | None) -> Split:
    """The part of one silo, or with `None` the pooled parts of all silos: what a party that saw all data would have.

    Args:
        labels: class of each sample, shape [samples], any integer dtype.
        settings: how to divide.
        silo: number of the silo from 0, or None.

    Raises:
        ValueError: the settings do not fit each other or the data.
    """
    if silo is not None and not 0 <= silo < settings.silos:
        raise ValueError(f"silo {silo} is not one of 0 to {settings.silos - 1}")
    if settings.minimum_samples < 2:
        raise ValueError("minimum_samples must be at least 2: one sample to train on and one to validate on")
    rest, test = hold_out(labels, settings.test_fraction, (settings.seed, _TEST_STREAM))
    silos = dirichlet_partition(
        labels[rest],
        silos=settings.silos,
        alpha=settings.alpha,
        seed=(settings.seed, _SILO_STREAM),
        minimum_samples=settings.minimum_samples,
    )
    trains, validations = [], []
    for number in range(settings.silos) if silo is None else [silo]:
        own = rest[silos[number]]
        kept, held = hold_out(labels[own], settings.validation_fraction, (settings.seed, _VALIDATION_STREAM, number))
        trains.append(own[kept])
        validations.append(own[held])
    return Split(np.sort(np.concatenate(trains)), np.sort(np.concatenate(validations)), test)


def dirichlet_partition(
    labels: Array, *, silos: int, alpha: float, seed: int | tuple[int, ...], minimum_samples: int = 10
) -> list[Indices]:
    """Divide samples with skewed classes: for every class, the silos' shares are drawn from Dirichlet(alpha).

    This is the per-class form of the division of Hsu, Qi and Brown (2019, arXiv:1909.06335). There each silo draws its
    mix of classes and all silos have equally many samples; here their sizes differ too, as organisations' do. A silo
    that would get fewer than `minimum_samples` is filled up from the largest ones.

    Args:
        labels: class of each sample, shape [samples], any integer dtype.
        silos: number of parts, >= 1.
        alpha: concentration, > 0.
        seed: of a PCG64 generator.
        minimum_samples: samples in every part at least.

    Returns:
        One ascending array of indices into `labels` per silo; together, each index exactly once.

    Raises:
        ValueError: no silo, alpha not positive, or too few samples for all silos to get the minimum.
    """
    if silos < 1:
        raise ValueError("there must be at least one silo")
    if not (alpha > 0 and np.isfinite(alpha)):
        raise ValueError("alpha must be a positive number")
    if len(labels) < silos * minimum_samples:
        raise ValueError(f"{len(labels)} samples are too few for {silos} silos with at least {minimum_samples} each")
    generator = np.random.Generator(np.random.PCG64(seed))
    parts: list[list[Indices]] = [[] for _ in range(silos)]
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        shares = generator.dirichlet(np.full(silos, alpha))
        cuts = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.append(piece)
    whole = [generator.permutation(np.concatenate(part)) for part in parts]
    while len(smallest := min(whole, key=len)) < minimum_samples:
        source = max(range(silos), key=lambda number: len(whole[number]))
        target = next(number for number in range(silos) if whole[number] is smallest)
        whole[target] = np.append(smallest, whole[source][-1])
        whole[source] = whole[source][:-1]
    return [np.sort(part) for part in whole]


def hold_out(labels: Array, fraction: float, seed: int | tuple[int, ...]) -> tuple[Indices, Indices]:
    """Hold back a part of some samples in which every class has its share, to within one sample.

    Args:
        labels: class of each sample, shape [samples >= 2], any integer dtype.
        fraction: part to hold back, in (0, 1). At least one sample is held back, and at least one kept.
        seed: of a PCG64 generator.

    Returns:
        The indices kept and those held back, each ascending.

    Raises:
        ValueError: the fraction is not in (0, 1), or there are fewer than two samples.
    """
    if not 0 < fraction < 1:
        raise ValueError("a part to hold back must be more than nothing and less than everything")
    if len(labels) < 2:
        raise ValueError("at least two samples are needed to hold one back")
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    count = min(max(round(len(labels) * fraction), 1), len(labels) - 1)
    # Evenly spaced places in the order by class: each class gives its share without rounding class by class.
    places = ((np.arange(count) + 0.5) * len(labels) / count).astype(np.int64)
    held = np.zeros(len(labels), dtype=bool)
    held[by_class[places]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
