"""What the ledger's status of a run asks of a silo. Pure; no I/O.

Nothing here decides what is admissible: the ledger has done so, and its status says what it decided.
"""

from __future__ import annotations

from dataclasses import dataclass

from consilo.protocol.records import GlobalModel, Opening
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RunStatus


@dataclass(frozen=True)
class Turn:
    """An attempt in which the silo is asked for an update.

    Attributes:
        opening: of the attempt.
        base: the global model to train on.
    """

    opening: Opening
    base: GlobalModel

    @property
    def work(self) -> tuple[int, str]:
        """What is to be trained, whatever the attempt: the round, and the digest of its base."""
        return self.opening.round, self.opening.base.sha256

    @property
    def attempt(self) -> tuple[int, int]:
        """Round and attempt."""
        return self.opening.round, self.opening.attempt


def turn_of(status: RunStatus, member: str) -> Turn | None:
    """The attempt in which the silo is asked for an update now, or None.

    That is: the attempt is open and not closed, the silo is in its cohort, and no update of it counts there yet.
    """
    attempt = status.attempt
    if status.state != "active" or attempt is None or attempt.selection is not None:
        return None
    if member not in attempt.opening.cohort or any(update.member == member for update in attempt.updates):
        return None
    if status.latest is None or status.latest.reference != attempt.opening.base:
        return None
    return Turn(attempt.opening, status.latest)


def is_over(status: RunStatus) -> bool:
    """Whether the run asks no silo for updates any more (but an annulment may open a finished one again)."""
    return status.state in {"rejected", "stopped", "finished"}


def may_report(status: RunStatus, member: str) -> bool:
    """Whether the silo takes part, so that the ledger takes its evaluations."""
    return any(approval.msp == organisation_of(member) for approval in status.approvals)
