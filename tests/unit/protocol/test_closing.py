"""From when on an attempt may be closed or reopened."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.protocol.closing import closable_from, reopenable_from
from consilo.protocol.records import GlobalReference, Opening, Update
from consilo.protocol.specification import Artifact, Specification
from tests.simulators import Consortium

OPENED, DEADLINE, GRACE = 1000, 61_000, 10_000


def _specification(**fields: Any) -> Specification:
    c = Consortium(silos=4)
    c.proposed(**fields)
    return c.status.proposal.specification


def _opening(size: int) -> Opening:
    return Opening(
        run="trial",
        round=0,
        attempt=1,
        generation=0,
        base=GlobalReference(round=0, attempt=0, sha256="0" * 64),
        cohort=tuple(f"Hospital{letter}/silo" for letter in "ABCD"[:size]),
        carried=(),
        excluded=(),
        reason="global-published",
        opened_by="HospitalA/aggregator",
        opened_at=OPENED,
        deadline_at=DEADLINE,
    )


def _updates(*times: int) -> list[Update]:
    return [
        Update(
            run="trial",
            round=0,
            attempt=1,
            member=f"Hospital{letter}/silo",
            base="0" * 64,
            artifact=Artifact(organisation=f"Hospital{letter}", key="a", sha256="0" * 64, size_bytes=80),
            num_samples=1,
            metrics={},
            published_at=time,
        )
        for letter, time in zip("ABCD", times, strict=False)
    ]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((), None),
        ((2000,), None),
        ((2000, 3000), DEADLINE),  # the minimum
        ((2000, 5000, 3000), 5000 + GRACE),  # the threshold: the third in time
        ((60_000, 2000, 3000), DEADLINE),  # the grace would outlast the deadline
        ((70_000, 2000, 3000), DEADLINE),  # the threshold came late
        ((2000, 3000, 4000, 60_999), OPENED),  # all of them
    ],
)
def test_the_number_of_updates_decides_how_long_to_wait(times: tuple[int, ...], expected: int | None) -> None:
    specification = _specification(threshold=3, minimum=2)
    assert closable_from(specification, _opening(4), _updates(*times)) == expected


def test_an_update_that_carried_over_counts_from_the_opening_on() -> None:
    specification = _specification(threshold=2, minimum=1)
    assert closable_from(specification, _opening(4), _updates(10, 20)) == OPENED + GRACE


def test_a_cohort_smaller_than_the_threshold_closes_when_all_of_it_have_published() -> None:
    specification = _specification(threshold=3, minimum=2)
    assert closable_from(specification, _opening(2), _updates(2000)) is None
    assert closable_from(specification, _opening(2), _updates(2000, 2000)) == OPENED


def test_without_grace_the_threshold_closes_the_round() -> None:
    specification = _specification(threshold=2, minimum=2, grace_ms=0)
    assert closable_from(specification, _opening(4), _updates(2000, 3000)) == 3000


def test_an_attempt_may_be_reopened_after_its_deadline_or_when_its_global_is_overdue() -> None:
    assert reopenable_from(_opening(4), None) == DEADLINE
    assert reopenable_from(_opening(4), 99_000) == 99_000
