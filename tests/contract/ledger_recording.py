"""A consortium whose simulation remembers what it was asked and what it said, to ask a real ledger the same. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consilo.identity.identity import Identity
from consilo.protocol.apply import Outcome
from consilo.protocol.refusals import Refusal
from consilo.protocol.transaction import Transaction
from tests.simulated_requests import signed
from tests.simulators import Consortium


@dataclass(frozen=True)
class Asked:
    """One transaction that the simulation was given, and its answer.

    Attributes:
        transaction: as it was handed in.
        time: milliseconds since the epoch.
        vouched: it came by a way by which the ledger vouches for the sender's organisation.
        answer: what the table of transitions says to it.
    """

    transaction: Transaction
    time: int
    vouched: bool
    answer: Outcome | Refusal


class RecordedConsortium(Consortium):
    """See `Consortium`; what is sent to a `copy` of it is not recorded."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._asked: list[Asked] = []
        super().__init__(*arguments, **settings)

    def send(self, transaction: Transaction, *, vouched: bool = False) -> Outcome:
        """See `Consortium.send`."""
        try:
            outcome = super().send(transaction, vouched=vouched)
        except Refusal as refusal:
            self._asked.append(Asked(transaction, self.clock, vouched, refusal))
            raise
        self._asked.append(Asked(transaction, self.clock, vouched, outcome))
        return outcome

    def take(self) -> list[Asked]:
        """What was asked since this was last called."""
        asked, self._asked = self._asked, []
        return asked


def again(asked: Asked, identity: Identity | None = None) -> Asked:
    """The same request a second later, which an admitting ledger answers with its first answer.

    Args:
        asked: what was admitted.
        identity: signs anew; by default the same bytes come again.
    """
    transaction = asked.transaction if identity is None else signed(asked.transaction.payload, identity)
    return Asked(transaction, asked.time + 1000, False, Outcome({}, None))
