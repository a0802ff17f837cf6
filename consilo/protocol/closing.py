"""When an attempt may be closed: the one rule, for the state machine and for whoever waits for it. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from consilo.protocol.records import Opening, Update
from consilo.protocol.selection import select
from consilo.protocol.specification import Specification


def closable_from(specification: Specification, opening: Opening, updates: Sequence[Update]) -> int | None:
    """The time from which the attempt may be closed with these updates, if no more come.

    An attempt may be closed with updates of which the policy selects at least `minimum`: when all of the cohort have
    published; or when `threshold` have and the grace since the one that met it is over; or when the deadline is over.

    Args:
        specification: the run's.
        opening: the attempt's.
        updates: all updates that count in the attempt, carried ones included.

    Returns:
        Milliseconds since the epoch, or None when more updates are needed whatever the time.
    """
    if not selects_enough(specification, updates):
        return None
    if len(updates) >= len(opening.cohort):
        return opening.opened_at
    if len(updates) < specification.threshold:
        return opening.deadline_at
    times = sorted(max(update.published_at, opening.opened_at) for update in updates)
    return min(times[specification.threshold - 1] + specification.grace_ms, opening.deadline_at)


def selects_enough(specification: Specification, updates: Sequence[Update]) -> bool:
    """Whether the policy selects at least `minimum` of these updates."""
    selected, _ = select(specification.selection, updates)
    return len(selected) >= specification.minimum


def reopenable_from(opening: Opening, publish_by: int | None) -> int:
    """The time from which any participant may reopen the attempt.

    That is its deadline; once a selection is recorded, the time by which its global should have been published.
    """
    return opening.deadline_at if publish_by is None else publish_by
