"""The state machine: a function from state, transaction and time to writes and an event, or a refusal. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from consilo.protocol import keys
from consilo.protocol.authority import authenticate
from consilo.protocol.call import Call
from consilo.protocol.canonical import canonical
from consilo.protocol.model import Record
from consilo.protocol.records import Applied
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.protocol.state import Draft, State
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import TRANSITIONS
from consilo.protocol.values import AttemptNumber, RoundNumber


class Event(Record):
    """What a transaction made known to those who watch the ledger. Fields that do not apply are None."""

    transaction: str
    type: str
    member: str
    run: str | None
    round: RoundNumber | None
    attempt: AttemptNumber | None
    effects: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of an admitted transaction.

    Attributes:
        writes: key -> canonical bytes; empty when the same request was applied before.
        event: None when the same request was applied before.
    """

    writes: dict[str, bytes]
    event: Event | None

    @property
    def repeated(self) -> bool:
        """Whether the same request was applied before, so that nothing changes."""
        return self.event is None


def apply(state: State, transaction: Transaction, time: int, *, vouched: bool = False) -> Outcome:
    """Apply a transaction to a state, without changing it: the caller commits the writes.

    Args:
        state: the ledger's, as of now.
        transaction: the signed request.
        time: the transaction's time, milliseconds since the epoch.
        vouched: the ledger itself vouches that the sender speaks for its organisation.

    Raises:
        Refusal: the rules do not admit it.
    """
    payload = transaction.payload
    if payload.ledger != state.ledger:
        raise Refusal("wrong-ledger", f"signed for ledger {payload.ledger}; this is {state.ledger}")
    try:
        applied = keys.transaction(transaction.id)
    except InvalidInput as error:  # a body that came over no wire may hold what has no canonical form
        raise Refusal(error.code, error.message) from None
    # First of all preconditions: a caller that retries blindly must find its request admitted.
    if state.get(applied) is not None:
        return Outcome({}, None)
    transition = TRANSITIONS.get(payload.type)
    if transition is None:
        raise Refusal("malformed", f"there is no transaction {payload.type}")
    try:
        body = transition.body.decode(canonical(payload.body))
        certificate = authenticate(state, transaction, body, time=time, vouched=vouched)
    except InvalidInput as error:
        raise Refusal(error.code, error.message) from None
    if certificate.role not in transition.roles:
        raise Refusal("role-not-allowed", f"{payload.type} is not for the role {certificate.role}")
    draft = Draft(state)
    call = Call(draft, body, payload.member, certificate.role, time, vouched)
    draft.put(applied, Applied(member=payload.member, applied_at=time))
    transition.apply(call)
    return Outcome(draft.writes, _event(transaction, body, tuple(call.effects)))


def _event(transaction: Transaction, body: Record, effects: tuple[str, ...]) -> Event:
    return Event(
        transaction=transaction.id,
        type=transaction.payload.type,
        member=transaction.payload.member,
        run=getattr(body, "run", None),
        round=getattr(body, "round", None),
        attempt=getattr(body, "attempt", None),
        effects=effects,
    )
