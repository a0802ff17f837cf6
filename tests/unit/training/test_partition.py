"""Dividing a data set among silos: nothing is lost, nothing is shared, and everybody computes the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.training.partition import PartitionSettings, dirichlet_partition, hold_out, split_for

LABELS = np.random.default_rng(3).integers(0, 5, 400)


@given(
    labels=st.lists(st.integers(0, 4), min_size=40, max_size=200),
    silos=st.integers(1, 4),
    alpha=st.sampled_from([0.01, 0.5, 100.0]),
    seed=st.integers(0, 2**32),
)
def test_every_sample_goes_to_exactly_one_silo(labels: list[int], silos: int, alpha: float, seed: int) -> None:
    parts = dirichlet_partition(np.array(labels), silos=silos, alpha=alpha, seed=seed, minimum_samples=10)
    assert len(parts) == silos
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert all(len(part) >= 10 for part in parts)
    assert all((np.diff(part) > 0).all() for part in parts)


def test_the_division_is_a_function_of_its_arguments() -> None:
    def divide(seed: int) -> list[list[int]]:
        return [part.tolist() for part in dirichlet_partition(LABELS, silos=3, alpha=0.5, seed=seed)]

    assert divide(7) == divide(7)
    assert divide(7) != divide(8)


def test_a_small_alpha_skews_the_classes_and_a_large_one_does_not() -> None:
    def largest_share(alpha: float) -> float:
        parts = dirichlet_partition(LABELS, silos=4, alpha=alpha, seed=1, minimum_samples=2)
        return float(np.mean([np.bincount(LABELS[part], minlength=5).max() / len(part) for part in parts]))

    assert largest_share(0.1) > 0.5
    assert largest_share(1000.0) < 0.35


@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=150),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_each_class_gives_its_share_to_what_is_held_back(labels: list[int], fraction: float, seed: int) -> None:
    array = np.array(labels)
    kept, held = hold_out(array, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert len(kept) >= 1
    assert len(held) == min(max(round(len(labels) * fraction), 1), len(labels) - 1)
    for label in set(labels):
        expected = (array == label).sum() * len(held) / len(labels)
        assert abs((array[held] == label).sum() - expected) <= 1


def test_silos_and_test_set_are_disjoint_and_the_pool_is_all_silos() -> None:
    settings = PartitionSettings(silos=4, alpha=0.5, seed=7)
    pool = split_for(LABELS, settings, None)
    silos = [split_for(LABELS, settings, silo) for silo in range(4)]
    assert all((silo.test == pool.test).all() for silo in silos)
    assert sorted(np.concatenate([silo.train for silo in silos])) == pool.train.tolist()
    assert sorted(np.concatenate([silo.validation for silo in silos])) == pool.validation.tolist()
    assert sorted([*pool.train, *pool.validation, *pool.test]) == list(range(len(LABELS)))
    assert len(pool.test) == 80
    assert all(len(silo.validation) >= 1 for silo in silos)


def test_the_test_set_does_not_depend_on_the_silos() -> None:
    settings = PartitionSettings(silos=4, alpha=0.5, seed=7)
    other = dataclasses.replace(settings, silos=9, alpha=10.0)
    assert (split_for(LABELS, settings, 0).test == split_for(LABELS, other, 8).test).all()


@pytest.mark.parametrize(
    ("changes", "silo", "message"),
    [
        ({}, 4, "silo 4 is not one of 0 to 3"),
        ({"silos": 0}, None, "at least one silo"),
        ({"alpha": 0.0}, 0, "alpha must be a positive number"),
        ({"alpha": float("nan")}, 0, "alpha must be a positive number"),
        ({"minimum_samples": 1}, 0, "minimum_samples must be at least 2"),
        ({"minimum_samples": 100}, 0, "too few for 4 silos with at least 100"),
        ({"test_fraction": 1.0}, 0, "less than everything"),
        ({"validation_fraction": 0.0}, 0, "more than nothing"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, float], silo: int | None, message: str) -> None:
    settings = PartitionSettings(**{"silos": 4, **changes})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        split_for(LABELS, settings, silo)


def test_one_sample_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="at least two samples"):
        hold_out(LABELS[:1], 0.5, 1)
