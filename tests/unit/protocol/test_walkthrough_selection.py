"""Which updates a round ends with: exclusions, replacements, policies, cohorts."""

from __future__ import annotations

from collections import Counter

import pytest

from consilo.protocol.records import Opening, Selection, Update
from tests.simulated_members import identity
from tests.simulated_requests import GRACE_MS
from tests.simulators import Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
FIRST, SECOND = "HospitalA/aggregator", "HospitalB/aggregator"


def _selected(c: Consortium) -> list[str]:
    assert c.attempt.selection is not None
    return [update.member for update in c.attempt.selection.selected]


def test_a_bad_digest_is_excluded_and_its_owner_replaces_it() -> None:
    c = Consortium(silos=2)
    c.running(threshold=2, minimum=2)
    c.close()
    c.reopen_round(FIRST, {B: "digest-mismatch"})
    assert [reference.member for reference in c.attempt.opening.carried] == [A]
    assert c.attempt.closable_from is None  # too few are left: B must come again
    with c.refused("too-early"):
        c.close_round()
    c.publish_update(B)
    c.close_round()
    c.publish_global(SECOND)
    assert [(selected.member, selected.attempt) for selected in c.latest.inputs] == [(A, 1), (B, 2)]


def test_with_enough_left_a_round_goes_on_without_the_bad_update() -> None:
    c = Consortium(silos=3)
    c.running()
    c.close()
    c.reopen_round(FIRST, {C: "not-finite"})
    c.advance(GRACE_MS)
    c.close_round()
    assert _selected(c) == [A, B]


def test_exclusions_stay_visible_and_can_be_counted_by_member() -> None:
    c = Consortium(silos=3)
    c.running()
    c.close()
    c.reopen_round(FIRST, {B: "malformed", C: "unavailable"})
    c.close()
    c.reopen_round(SECOND, {C: "unavailable"})
    c.complete_round()
    openings = c.all(Opening)
    counted = Counter(exclusion.member for opening in openings for exclusion in opening.excluded)
    assert counted == {B: 1, C: 2}
    assert [opening.opened_by for opening in openings if opening.excluded] == [FIRST, SECOND]
    assert len(c.all(Update)) == 3 + 2 + 1


def test_an_update_excluded_twice_over_may_be_replaced_twice() -> None:
    c = Consortium(silos=2)
    c.running()
    for _ in range(2):
        c.close()
        c.reopen_round(FIRST, {B: "digest-mismatch"})
    c.complete_round()
    assert [(selected.member, selected.attempt) for selected in c.latest.inputs] == [(A, 1), (B, 3)]


def test_only_an_aggregator_excludes_and_only_what_was_selected() -> None:
    c = Consortium(silos=3)
    c.running()
    c.publish_updates()
    with c.refused("round-not-closed"):
        c.reopen_round(FIRST, {B: "malformed"})
    c.close_round()
    for member in (A, "HospitalA/operator"):
        with c.refused("role-not-allowed"):
            c.reopen_round(member, {B: "malformed"})


def test_a_member_with_two_certificates_acts_in_the_role_that_it_signs_with() -> None:
    c = Consortium(silos=3)
    c.running()
    c.pass_deadline()
    with c.refused("organisation-not-named"):
        c.reopen_round(A, by=identity(A, "aggregator"))
    with c.refused("role-not-allowed"):
        c.reopen_round(A, by=identity(A, "viewer"))
    c.reopen_round(A, by=identity(A, "silo"))


def test_a_round_whose_updates_are_all_below_the_value_can_be_left() -> None:
    c = Consortium(silos=2)
    c.running(selection={"policy": "at_least", "metric": "accuracy", "value": "0.5"}, threshold=2, minimum=2)
    c.publish_update(A, metrics={"accuracy": "0.4"})
    c.publish_update(B, metrics={"accuracy": "0.6"})
    with c.refused("selection-too-small"):
        c.close_round()
    with c.refused("nothing-to-reopen"):
        c.reopen_round()
    c.pass_deadline()
    c.reopen_round(B)
    # The one that can never be selected does not carry over, so that its owner may do better.
    assert [reference.member for reference in c.attempt.opening.carried] == [B]
    c.publish_update(A, metrics={"accuracy": "0.5"})
    c.close_round()
    assert _selected(c) == [A, B]


def test_a_closer_that_is_ahead_of_a_lagging_ledger_is_admitted_when_that_has_caught_up() -> None:
    lagging = Consortium(silos=2)
    lagging.running(selection={"policy": "at_least", "metric": "accuracy", "value": "0.5"}, minimum=1)
    lagging.publish_update(A, metrics={"accuracy": "0.4"})
    ahead = lagging.copy()
    ahead.publish_update(B)
    close = ahead.make.close_round()
    with lagging.refused("selection-too-small"):
        lagging.send(close)
    with lagging.refused("selection-too-small"):
        lagging.close_round(updates="0" * 64)
    lagging.send(ahead.admitted[-1].transaction)
    lagging.send(close)
    assert _selected(lagging) == [B]


def test_an_update_without_the_metric_does_not_block_a_sampled_cohort_for_ever() -> None:
    c = Consortium(silos=4)
    c.running(
        cohort={"kind": "count", "count": 2},
        threshold=2,
        minimum=2,
        selection={"policy": "top_k", "metric": "accuracy", "k": 2, "order": "highest"},
    )
    for member in c.attempt.opening.cohort:
        c.publish_update(member, metrics={})
    c.pass_deadline()
    c.reopen_round()
    assert c.attempt.opening.carried == ()
    c.continue_honestly()


def test_top_k_selects_the_best_and_says_why_others_were_left_out() -> None:
    c = Consortium(silos=4)
    c.running(selection={"policy": "top_k", "metric": "loss", "k": 2, "order": "lowest"}, minimum=2, threshold=2)
    for silo, loss in zip(c.layout.silos, ("0.5", "0.1", "0.1", None), strict=True):
        c.publish_update(silo, metrics={} if loss is None else {"loss": loss})
    c.close_round()
    assert _selected(c) == [B, C]
    selection = c.all(Selection)[0]
    assert [(out.member, out.reason) for out in selection.left_out] == [
        (A, "not-among-best"),
        ("HospitalD/silo", "metric-missing"),
    ]
    assert selection.total_samples == 20


def test_one_that_was_not_among_the_best_steps_in_for_an_excluded_one() -> None:
    c = Consortium(silos=3)
    c.running(selection={"policy": "top_k", "metric": "accuracy", "k": 2, "order": "highest"}, minimum=2)
    for silo, accuracy in ((A, "0.9"), (B, "0.8"), (C, "0.7")):
        c.publish_update(silo, metrics={"accuracy": accuracy})
    c.close_round()
    assert _selected(c) == [A, B]
    c.reopen_round(FIRST, {A: "unavailable"})
    c.advance(GRACE_MS)
    c.close_round()
    assert _selected(c) == [B, C]


@pytest.mark.parametrize(
    "cohort", [{"kind": "count", "count": 3}, {"kind": "fraction", "fraction": "0.5"}, {"kind": "all"}]
)
def test_a_carried_update_keeps_its_place_in_a_sampled_cohort(cohort: dict[str, object]) -> None:
    c = Consortium(silos=6, organisations=2)
    c.running(cohort=cohort, threshold=3, minimum=3)
    asked = c.attempt.opening.cohort
    assert len(asked) == (6 if cohort["kind"] == "all" else 3)
    c.publish_updates(*asked[:2])
    for _ in range(4):
        c.pass_deadline()
        c.reopen_round()
        assert set(asked[:2]) <= set(c.attempt.opening.cohort)
        assert len(c.attempt.opening.cohort) == len(asked)
    c.continue_honestly()


def test_each_attempt_and_each_round_draws_its_cohort_anew() -> None:
    c = Consortium(silos=8, organisations=2)
    c.running(cohort={"kind": "count", "count": 3}, threshold=3, minimum=3, rounds=3)
    for _ in range(3):
        c.pass_deadline()
        c.reopen_round()
    c.continue_honestly()
    assert len({opening.cohort for opening in c.all(Opening)}) > 3
