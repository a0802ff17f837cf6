"""Which updates are a reason for the aggregator to look at a run, on the real state machine."""

from __future__ import annotations

import pytest

from consilo.protocol.views import Attempt
from services.aggregator.arrivals import Arrivals
from tests.simulators import Consortium

SILOS = ("HospitalA/silo", "HospitalB/silo", "HospitalC/silo")


@pytest.fixture
def c() -> Consortium:
    return Consortium(silos=3)


def attempt_of(c: Consortium) -> Attempt:
    attempt = c.status.attempt
    assert attempt is not None
    return attempt


def seen(c: Consortium, threshold: int) -> Arrivals:
    arrivals = Arrivals()
    arrivals.see(attempt_of(c), threshold)
    return arrivals


def test_only_from_the_threshold_on_an_update_is_a_reason_to_look(c: Consortium) -> None:
    c.running()
    arrivals = seen(c, threshold=2)
    assert [arrivals.arrived((0, 1), silo) for silo in SILOS] == [False, True, True]


def test_an_update_that_is_told_twice_counts_once(c: Consortium) -> None:
    c.running()
    arrivals = seen(c, threshold=2)
    assert [arrivals.arrived((0, 1), SILOS[0]) for _ in range(3)] == [False] * 3


def test_what_a_look_shows_and_what_events_told_counts_together(c: Consortium) -> None:
    c.running()
    arrivals = seen(c, threshold=3)
    before = attempt_of(c)
    c.publish_updates(*SILOS[:2])
    arrivals.see(attempt_of(c), 3)  # their events are still on the way
    assert not arrivals.arrived((0, 1), SILOS[0])
    arrivals.see(before, 3)  # an older look that was answered later takes nothing away
    assert arrivals.arrived((0, 1), SILOS[2])


def test_an_attempt_that_was_not_seen_yet_is_looked_at(c: Consortium) -> None:
    c.running()
    assert Arrivals().arrived((0, 1), SILOS[0])
    arrivals = seen(c, threshold=3)
    assert arrivals.arrived((0, 2), SILOS[0])
    assert arrivals.arrived((1, 1), SILOS[0])


def test_another_attempt_starts_with_the_updates_that_were_carried_over(c: Consortium) -> None:
    c.running()
    arrivals = seen(c, threshold=2)
    c.publish_updates(*SILOS[:2])
    c.advance(60_000)
    c.close_round()
    c.reopen_round(excluded={SILOS[1]: "malformed"})
    attempt = attempt_of(c)
    assert attempt.opening.attempt == 2
    arrivals.see(attempt, 2)
    assert (arrivals.attempt, arrivals.members) == ((0, 2), {SILOS[0]})
    assert arrivals.arrived((0, 2), SILOS[1])
