"""Selections follow from metadata alone, whatever order the updates are read in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.protocol.canonical import canonical, digest
from consilo.protocol.records import Update
from consilo.protocol.selection import never_selected, select, updates_digest
from consilo.protocol.specification import Artifact, SelectAll, SelectAtLeast, SelectionPolicy, SelectTop
from consilo.protocol.values import format_number

ALL = SelectAll(policy="all")


def _update(letter: str, metric: float | None = 0.5, *, samples: int = 10, attempt: int = 1) -> Update:
    return Update(
        run="trial",
        round=0,
        attempt=attempt,
        member=f"Hospital{letter}/silo",
        base="0" * 64,
        artifact=Artifact(organisation=f"Hospital{letter}", key="k", sha256=digest(letter.encode()), size_bytes=80),
        num_samples=samples,
        metrics={} if metric is None else {"score": format_number(metric)},
        published_at=0,
    )


def _top(k: int, order: Any = "highest") -> SelectTop:
    return SelectTop(policy="top_k", metric="score", k=k, order=order)


def _at_least(value: float) -> SelectAtLeast:
    return SelectAtLeast(policy="at_least", metric="score", value=format_number(value))


def _letters(policy: SelectionPolicy, updates: list[Update]) -> str:
    return "".join(selected.member[8] for selected in select(policy, updates)[0])


UPDATES = [_update("A", 0.1), _update("B", 0.3), _update("C", None), _update("D", 0.3), _update("E", -0.2)]


@pytest.mark.parametrize(
    ("policy", "letters"),
    [
        (ALL, "ABCDE"),
        (_top(1), "B"),
        (_top(2), "BD"),
        (_top(3), "ABD"),
        (_top(9), "ABDE"),
        (_top(1, "lowest"), "E"),
        (_top(3, "lowest"), "ABE"),
        (_at_least(0.3), "BD"),
        (_at_least(-0.2), "ABDE"),
        (_at_least(0.31), ""),
    ],
)
def test_a_policy_selects_these(policy: SelectionPolicy, letters: str) -> None:
    assert _letters(policy, UPDATES) == letters


def test_the_two_zeros_are_equally_good() -> None:
    assert _letters(_top(1), [_update("A", -0.0), _update("B", 0.0)]) == "A"
    assert _letters(_at_least(0.0), [_update("A", -0.0)]) == "A"


def test_each_that_is_left_out_is_told_why() -> None:
    reasons = {out.member[8]: out.reason for out in select(_top(2), UPDATES)[1]}
    assert reasons == {"A": "not-among-best", "C": "metric-missing", "E": "not-among-best"}
    reasons = {out.member[8]: out.reason for out in select(_at_least(0.3), UPDATES)[1]}
    assert reasons == {"A": "below-value", "C": "metric-missing", "E": "below-value"}
    assert select(ALL, UPDATES)[1] == ()


def test_what_could_still_be_selected_beside_other_updates_is_not_written_off() -> None:
    assert never_selected(ALL, UPDATES) == []
    assert never_selected(_top(1), UPDATES) == ["HospitalC/silo"]
    assert sorted(never_selected(_at_least(0.3), UPDATES)) == [f"Hospital{letter}/silo" for letter in "ACE"]


METRICS = st.none() | st.sampled_from([0.0, -0.0, 0.25, 1.0]) | st.floats(allow_nan=False, allow_infinity=False)
SETS = st.lists(METRICS, max_size=8).map(
    lambda metrics: [_update("ABCDEFGH"[index], metric, samples=index + 1) for index, metric in enumerate(metrics)]
)
POLICIES = st.sampled_from([ALL, _top(2), _top(3, "lowest"), _at_least(0.25)])


@given(SETS, POLICIES, st.randoms())
def test_selected_and_left_out_are_a_sorted_partition_whatever_the_order(
    updates: list[Update], policy: SelectionPolicy, random: Any
) -> None:
    shuffled = list(updates)
    random.shuffle(shuffled)
    selected, left_out = select(policy, shuffled)
    assert (selected, left_out) == select(policy, updates)
    members = [*(item.member for item in selected), *(item.member for item in left_out)]
    assert sorted(members) == [update.member for update in updates]
    for found in ([item.member for item in selected], [item.member for item in left_out]):
        assert found == sorted(found)
    weights = {item.member: item.num_samples for item in selected}
    assert weights == {update.member: update.num_samples for update in updates if update.member in weights}


@given(SETS, st.integers(1, 5))
def test_no_update_that_is_left_out_is_better_than_one_that_is_selected(updates: list[Update], k: int) -> None:
    values = {update.member: float(update.metrics.get("score", "nan")) for update in updates}
    selected, left_out = select(_top(k), updates)
    assert len(selected) == min(k, sum("score" in update.metrics for update in updates))
    for better in selected:
        for worse in left_out:
            if worse.reason == "not-among-best":
                assert values[better.member] >= values[worse.member]


@given(SETS, st.randoms())
def test_the_digest_of_a_set_of_updates_depends_on_no_order(updates: list[Update], random: Any) -> None:
    shuffled = list(updates)
    random.shuffle(shuffled)
    assert updates_digest(shuffled) == updates_digest(updates)


def test_the_digest_of_a_set_of_updates_covers_member_attempt_artifact_and_weight() -> None:
    base = [_update("A"), _update("B")]
    expected = digest(canonical([["HospitalA/silo", 1, digest(b"A"), 10], ["HospitalB/silo", 1, digest(b"B"), 10]]))
    assert updates_digest(base) == expected
    others = [
        [_update("A")],
        [_update("A"), _update("C")],
        [_update("A", samples=11), _update("B")],
        [_update("A", attempt=2), _update("B")],
    ]
    assert len({updates_digest(updates) for updates in (base, *others, [])}) == 6
