"""The chaincode's functions: `consilo.protocol`, given a state. The same on every peer; no I/O but through the state.

    submit <transaction>         applies it        -> Receipt; writes; one event with the protocol's `Event`
    query <name> <arguments>     answers a query   -> the query's answer

There are two rules that are not the protocol's. A transaction is handed in directly, not by another chaincode. And its
time must be about that of this server's clock: on Fabric the time is the sender's claim, and certificates and deadlines
are held against it; no other check of it exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chaincode.invocation import OK, REFUSED, Answer, Invocation
from consilo.fabric.receipts import Receipt, RefusalText
from consilo.protocol import keys
from consilo.protocol.apply import apply
from consilo.protocol.canonical import MAX_BYTES, canonical, parse
from consilo.protocol.model import Record
from consilo.protocol.queries import QUERIES
from consilo.protocol.records import Applied
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.protocol.state import State, read
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of

R = TypeVar("R", bound=Record)


class _NotCalled(Exception):
    """A call that never came to the protocol."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.text = RefusalText(code=code, message=message, retryable=retryable)


@dataclass(frozen=True)
class Functions:
    """The functions, by the name in a call's first argument.

    Attributes:
        max_clock_difference_ms: between a transaction's time and the clock, either way.
        clock: this server's, milliseconds since 1970-01-01 UTC.
        chaincode: name under which this is deployed.
    """

    max_clock_difference_ms: int
    clock: Callable[[], int]
    chaincode: str = "consilo"

    def answer(self, invocation: Invocation, state: State) -> Answer:
        """Call a function. The caller commits the answer's writes.

        Raises nothing for what a caller may do wrong: that is an answer. Whatever else it raises is a defect, or comes
        from the state.
        """
        try:
            match invocation.arguments:
                case (b"submit", transaction):
                    return self._submit(invocation, transaction, state)
                case (b"query", name, arguments):
                    return _query(name, arguments, state)
                case (b"submit" | b"query", *_):
                    message = "`submit` takes a transaction, `query` a name and arguments"
                    raise _NotCalled("malformed", message, retryable=False)
                case _:
                    raise _NotCalled("function-unknown", "the functions are `submit` and `query`", retryable=False)
        except Refusal as refusal:
            return refused(RefusalText(code=refusal.code, message=refusal.message, retryable=refusal.retryable))
        except _NotCalled as error:
            return refused(error.text)

    def _submit(self, invocation: Invocation, data: bytes, state: State) -> Answer:
        if invocation.chaincode != self.chaincode:
            # Its transaction would be another chaincode's, where those who read or verify this ledger do not look.
            message = f"transactions are handed in to {self.chaincode} itself, not through {invocation.chaincode}"
            raise _NotCalled("function-unknown", message, retryable=False)
        self._check_clock(invocation.time)
        transaction = _parsed(Transaction, data)
        vouched = invocation.creator_msp == organisation_of(transaction.payload.member)
        outcome = apply(state, transaction, invocation.time, vouched=vouched)
        time = invocation.time
        if outcome.repeated:
            applied = read(state, keys.transaction(transaction.id), Applied)
            assert applied is not None  # noqa: S101 - `apply` has just read it
            time = applied.applied_at
        receipt = Receipt(transaction=transaction.id, time=time, repeated=outcome.repeated)
        event = None if outcome.event is None else outcome.event.encode()
        return Answer(OK, receipt.encode(), writes=outcome.writes, event=event)

    def _check_clock(self, time: int) -> None:
        difference = time - self.clock()
        if abs(difference) > self.max_clock_difference_ms:
            way = "ahead of" if difference > 0 else "behind"
            message = (
                f"the transaction's time is {abs(difference)} ms {way} the clock of this peer's chaincode; "
                f"{self.max_clock_difference_ms} ms are allowed: set the clocks, or send it anew"
            )
            raise _NotCalled("clock-differs", message, retryable=True)


def refused(text: RefusalText, status: int = REFUSED) -> Answer:
    """The answer that says no."""
    return Answer(status, message=text.encode().decode())


def _query(name: bytes, arguments: bytes, state: State) -> Answer:
    query = QUERIES.get(name.decode(errors="replace"))
    if query is None:
        raise _NotCalled("function-unknown", f"the queries are {', '.join(sorted(QUERIES))}", retryable=False)
    return Answer(OK, query.run(state, _parsed(query.arguments, arguments)).encode())


def _parsed(model: type[R], data: bytes) -> R:
    # The bound is the protocol's and no setting: what one peer reads, all must read.
    try:
        return model.decode(canonical(parse(data, max_bytes=MAX_BYTES)))
    except InvalidInput as error:
        raise _NotCalled(error.code, error.message, retryable=False) from None
