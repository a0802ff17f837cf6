"""Which updates go into the next global model, and with which weights: from their metadata alone. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from consilo.protocol.canonical import canonical, digest
from consilo.protocol.records import LeftOut, SelectedUpdate, Update
from consilo.protocol.specification import SelectAll, SelectAtLeast, SelectionPolicy, SelectTop
from consilo.protocol.values import parse_number


def updates_digest(updates: Sequence[Update]) -> str:
    """Digest of a set of updates: SHA-256 of canonical [[member, attempt, digest, samples], ...] in member order."""
    ordered = sorted(updates, key=lambda update: update.member)
    return digest(canonical([[u.member, u.attempt, u.artifact.sha256, u.num_samples] for u in ordered]))


def select(
    policy: SelectionPolicy, updates: Sequence[Update]
) -> tuple[tuple[SelectedUpdate, ...], tuple[LeftOut, ...]]:
    """Apply a selection policy.

    Args:
        policy: `all`; `top_k` by a metric (ties to the smaller member id); `at_least` on a metric.
        updates: the updates that count, one per member.

    Returns:
        The selected updates with their weights (numbers of samples), and those left out with the reason; both
        sorted by member.
    """
    reasons = _left_out(policy, updates)
    ordered = sorted(updates, key=lambda update: update.member)
    selected = tuple(
        SelectedUpdate(member=u.member, attempt=u.attempt, sha256=u.artifact.sha256, num_samples=u.num_samples)
        for u in ordered
        if u.member not in reasons
    )
    return selected, tuple(reasons[member] for member in sorted(reasons))


def never_selected(policy: SelectionPolicy, updates: Sequence[Update]) -> list[str]:
    """Members whose updates the policy leaves out for their own metrics, whatever other updates come."""
    return [member for member, out in _left_out(policy, updates).items() if out.reason != "not-among-best"]


def _left_out(policy: SelectionPolicy, updates: Sequence[Update]) -> dict[str, LeftOut]:
    if isinstance(policy, SelectAll):
        return {}
    values = {u.member: parse_number(u.metrics[policy.metric]) for u in updates if policy.metric in u.metrics}
    reasons = {u.member: LeftOut(member=u.member, reason="metric-missing") for u in updates if u.member not in values}
    match policy:
        case SelectTop():
            sign = -1.0 if policy.order == "highest" else 1.0
            ranked = sorted(values, key=lambda member: (sign * values[member], member))
            for member in ranked[policy.k :]:
                reasons[member] = LeftOut(member=member, reason="not-among-best")
        case SelectAtLeast():
            bound = parse_number(policy.value)
            for member, value in values.items():
                if value < bound:
                    reasons[member] = LeftOut(member=member, reason="below-value")
    return reasons
