"""Which silos are asked to train in an attempt: drawn so that anyone can check it. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from consilo.protocol.canonical import canonical, digest
from consilo.protocol.records import GlobalReference
from consilo.protocol.specification import Specification


def draw_cohort(
    specification: Specification,
    *,
    run: str,
    base: GlobalReference,
    attempt: int,
    eligible: Iterable[str],
    carried: Iterable[str],
) -> tuple[str, ...]:
    """The cohort of an attempt at round `base.round`.

    Members whose updates carry over are in it. The other places go to the eligible silos with the smallest
    SHA-256 of (run, digest of the base, round, attempt, member); as many as the specification's cohort rule asks for,
    and at least its threshold.

    Args:
        specification: the run's.
        run: the run's name.
        base: the global model that the round trains on.
        attempt: number of the attempt.
        eligible: silos of the specification whose organisations approved the run.
        carried: members whose updates carry over from the attempt before.

    Returns:
        Member ids, sorted.
    """
    keep = set(carried)
    candidates = sorted(set(eligible) - keep)
    total = len(candidates) + len(keep)
    size = min(total, max(specification.cohort.size(total), specification.threshold))

    def rank(member: str) -> str:
        return digest(canonical([run, base.sha256, base.round, attempt, member]))

    drawn = sorted(candidates, key=rank)[: max(0, size - len(keep))]
    return tuple(sorted(keep.union(drawn)))
