"""How fast a store must be. Pure; no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """What a store must keep up, while it is waited for: it could hold up whoever waits with a byte now and then.

    Attributes:
        minimum_bytes_per_second: Over the whole download.
        grace_seconds: On top.
    """

    minimum_bytes_per_second: int
    grace_seconds: float

    def allows(self, received_bytes: int, waited_seconds: float) -> bool:
        """Whether the store has kept it up."""
        return waited_seconds <= self.grace_seconds + received_bytes / self.minimum_bytes_per_second
