"""Draws of cohorts: anyone comes to the same one, nobody can choose it, carried updates keep their places."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.protocol.canonical import canonical, digest
from consilo.protocol.cohort import draw_cohort
from consilo.protocol.records import GlobalReference
from consilo.protocol.specification import CountCohort, FractionCohort, Specification, WholeCohort
from tests.simulators import Consortium

SILOS = tuple(f"HospitalA/silo-{index}" for index in range(10, 20))


def _specification(cohort: dict[str, Any], threshold: int = 1) -> Specification:
    c = Consortium(silos=1)
    silos = [{"member": member, "max_samples": 9} for member in SILOS]
    c.proposed(silos=silos, cohort=cohort, threshold=threshold, minimum=1)
    return c.status.proposal.specification


def _draw(specification: Specification, *, attempt: int = 1, sha256: str = "0" * 64, **fields: Any) -> tuple[str, ...]:
    base = GlobalReference(round=fields.pop("round", 3), attempt=1, sha256=sha256)
    defaults: dict[str, Any] = {"run": "trial", "eligible": SILOS, "carried": ()}
    return draw_cohort(specification, base=base, attempt=attempt, **{**defaults, **fields})


def test_those_with_the_smallest_digests_are_asked() -> None:
    drawn = _draw(_specification({"kind": "count", "count": 4}), attempt=2, sha256="a" * 64)
    ranked = sorted(SILOS, key=lambda member: digest(canonical(["trial", "a" * 64, 3, 2, member])))
    assert drawn == tuple(sorted(ranked[:4]))


@pytest.mark.parametrize("change", [{"attempt": 2}, {"sha256": "1" * 64}, {"round": 4}, {"run": "other"}])
def test_everything_that_is_drawn_from_changes_the_draw(change: dict[str, Any]) -> None:
    specification = _specification({"kind": "count", "count": 4})
    assert _draw(specification) != _draw(specification, **change)


@given(st.permutations(SILOS), st.sets(st.sampled_from(SILOS), max_size=6), st.integers(1, 10), st.integers(1, 9))
def test_a_draw_depends_on_no_order_keeps_the_carried_and_has_the_right_size(
    order: list[str], carried: set[str], count: int, attempt: int
) -> None:
    specification = COUNTS[count]
    drawn = _draw(specification, eligible=order, carried=sorted(carried), attempt=attempt)
    assert drawn == _draw(specification, carried=carried, attempt=attempt)
    assert list(drawn) == sorted(set(drawn))
    assert carried <= set(drawn) <= set(SILOS)
    assert len(drawn) == max(count, len(carried))


COUNTS = {count: _specification({"kind": "count", "count": count}) for count in range(1, 11)}


def test_over_many_attempts_everyone_is_asked_about_equally_often() -> None:
    specification = _specification({"kind": "count", "count": 3})
    counted = Counter(member for attempt in range(1, 501) for member in _draw(specification, attempt=attempt))
    assert set(counted) == set(SILOS)
    assert all(100 <= times <= 200 for times in counted.values())


def test_a_small_fraction_still_asks_as_many_as_the_threshold() -> None:
    specification = _specification({"kind": "fraction", "fraction": "0.5"}, threshold=4)
    assert len(_draw(specification)) == 5
    assert len(_draw(specification, eligible=SILOS[:6])) == 4
    assert len(_draw(specification, eligible=SILOS[:2])) == 2
    assert _draw(specification, eligible=()) == ()


@pytest.mark.parametrize(
    ("fraction", "eligible", "size"),
    [
        ("0.1", 10, 1),  # though the float is a little above a tenth
        ("0.1", 11, 2),
        ("0.7", 10, 7),
        ("0.3", 10, 3),
        ("1.0", 7, 7),
        ("1e-05", 10, 1),
        ("0.5", 3, 2),
        ("0.5", 0, 0),
    ],
)
def test_a_fraction_is_the_decimal_that_was_written_rounded_up(fraction: str, eligible: int, size: int) -> None:
    assert FractionCohort(kind="fraction", fraction=fraction).size(eligible) == size


def test_a_count_never_asks_for_more_than_there_are() -> None:
    assert CountCohort(kind="count", count=5).size(3) == 3
    assert CountCohort(kind="count", count=5).size(9) == 5
    assert WholeCohort(kind="all").size(9) == 9


@pytest.mark.parametrize("fraction", ["0.0", "-0.0", "-0.5", "1.5", "nan", "1"])
def test_a_fraction_outside_its_bounds_is_refused(fraction: str) -> None:
    with pytest.raises(ValueError):
        FractionCohort(kind="fraction", fraction=fraction)
