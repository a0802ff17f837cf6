"""Which updates of a run's current attempt have come, as far as events and looks at the ledger tell. No I/O.

An attempt may be closed at once when the last update of its cohort has come; before, when the ledger's time for it has
come, once there are as many as its threshold or its minimum. So most updates are no reason to read the run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consilo.protocol.views import Attempt


@dataclass
class Arrivals:
    """The updates of one attempt.

    Attributes:
        attempt: round and attempt.
        threshold: as many updates may close it before its deadline.
        members: whose have come.
    """

    attempt: tuple[int, int] | None = None
    threshold: int = 0
    members: set[str] = field(default_factory=set)

    def see(self, attempt: Attempt, threshold: int) -> None:
        """The run was read: its attempt stands like this. What events told before may be missing there."""
        opening = attempt.opening
        current = (opening.round, opening.attempt)
        if current != self.attempt:
            self.attempt, self.threshold, self.members = current, threshold, set()
        self.members |= {update.member for update in attempt.updates}

    def arrived(self, attempt: tuple[int, int], member: str) -> bool:
        """An update came; whether that is a reason to read the run, which it is when the attempt is unknown."""
        if attempt != self.attempt:
            return True
        self.members.add(member)
        return len(self.members) >= self.threshold
