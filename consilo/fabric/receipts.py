"""What the chaincode answers: a receipt, or a refusal in the response's message. Pure; no I/O."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from consilo.protocol.model import Record
from consilo.protocol.values import Digest, Milliseconds


class Receipt(Record):
    """A transaction is admitted: the payload of the response of `submit`.

    Attributes:
        transaction: its id (the protocol's, not Fabric's).
        time: at which it was applied first, milliseconds since 1970-01-01 UTC.
        repeated: the same request was applied before, and nothing changed.
    """

    transaction: Digest
    time: Milliseconds
    repeated: bool


class RefusalText(Record):
    """Why the chaincode says no: the message of a response of status 400 and more.

    Attributes:
        code: of `consilo.protocol.refusals`, or `clock-differs`, `function-unknown`, `defect`.
        message: what was wrong, in words.
        retryable: whether the same request may be admitted later.
    """

    code: Annotated[str, Field(pattern=r"^[a-z][a-z\-]{0,63}\z")]
    message: str
    retryable: bool
