"""What the embedded ledger tells about commits: a receipt to the sender, a commit to those who watch. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from consilo.embedded.blocks import CommittedEvent
from consilo.embedded.positions import Head, Position


@dataclass(frozen=True)
class Receipt:
    """A transaction is on the ledger, on the disk.

    Attributes:
        transaction: its id.
        position: where it stands.
        time: its time, milliseconds since 1970-01-01 UTC.
        head: of the ledger when this was said; its block is that of `position` or a later one.
        repeated: the same request was applied before; position and time are those of then.
    """

    transaction: str
    position: Position
    time: int
    head: Head
    repeated: bool


@dataclass(frozen=True)
class Commit:
    """One block was committed.

    Attributes:
        head: the block.
        events: of its transactions, in order.
    """

    head: Head
    events: tuple[CommittedEvent, ...]
