"""What a transition is given: the sender (already authenticated), the body, the draft to write to. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from consilo.protocol.model import Record
from consilo.protocol.state import Draft
from consilo.protocol.values import organisation_of

B_co = TypeVar("B_co", bound=Record, covariant=True)


@dataclass(frozen=True)
class Call(Generic[B_co]):
    """One transaction on its way through a transition.

    Attributes:
        draft: state with the transaction's own writes on top.
        body: the parsed body.
        member: id of the sender.
        role: role of the sender's certificate.
        time: the transaction's time, milliseconds since the epoch.
        vouched: the ledger itself vouches that the sender speaks for its organisation (on Fabric: the creator's MSP).
        effects: what else became true, for the event; transitions append.
    """

    draft: Draft
    body: B_co
    member: str
    role: str
    time: int
    vouched: bool
    effects: list[str] = field(default_factory=list)

    @property
    def msp(self) -> str:
        """The sender's organisation."""
        return organisation_of(self.member)
