"""What of a store may be removed."""

from __future__ import annotations

import pytest

from consilo.store.collection import Judgement, Names, judge
from consilo.store.keys import unique_key
from consilo.store.port import StoredObject

GRACE_SECONDS = 100.0
NOW = 1_000_000


def judged(key: str, *, age_ms: int = 10**6, collectable: bool | None = None) -> Judgement:
    """The judgement of an object; `collectable` None: no record names it."""
    names = Names({} if collectable is None else {key: collectable}, ("HospitalA",), NOW)
    found = judge([StoredObject(key, 7, NOW - age_ms)], names, orphan_grace_seconds=GRACE_SECONDS)
    return found[key]


def made(msp: str = "HospitalA") -> str:
    return unique_key("run-1", msp, "silo")


@pytest.mark.parametrize(("age_ms", "expected"), [(0, "keep"), (100_000, "keep"), (100_001, "orphan")])
def test_what_nobody_recorded_is_an_orphan_once_it_is_older_than_the_grace(age_ms: int, expected: Judgement) -> None:
    assert judged(made(), age_ms=age_ms) == expected


def test_what_is_recorded_is_kept_whatever_its_age() -> None:
    assert judged(made(), collectable=False) == "keep"


def test_what_all_its_records_let_go_is_expired_whatever_its_age() -> None:
    assert judged(made(), age_ms=0, collectable=True) == "expired"


@pytest.mark.parametrize(
    "key",
    [made("HospitalB"), "a", "run-1/hospitala/silo/notes", f"x/run-1/hospitala/silo/{'0' * 32}"],
    ids=["another organisation's", "short", "no random end", "deeper"],
)
def test_what_the_gateway_did_not_make_for_its_organisations_is_left_alone(key: str) -> None:
    assert judged(key) == "keep"


def test_an_object_that_is_newer_than_the_ledger_is_kept() -> None:
    assert judged(made(), age_ms=-(10**6)) == "keep"
