"""The port to a ledger: what the service's routes need, and nothing that only one kind of ledger has."""

from __future__ import annotations

from typing import Protocol

from consilo.api.models import CommittedEvent, Head, Position
from consilo.protocol.model import Record
from consilo.protocol.records import LedgerRecord
from consilo.protocol.transaction import Transaction


class LedgerUnavailable(Exception):
    """The ledger cannot take or answer this now; the same request may succeed later.

    Attributes:
        code: stable: `ledger-unavailable`, `ledger-full`, `ledger-overloaded`. On Fabric also `ledger-misconfigured`,
            when an operator has something to mend, and `ledger-behind`, `endorsers-differ`, `clock-differs`, `defect`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Commit(LedgerRecord):
    """That a transaction is on the ledger, and the newest block then."""

    transaction: str
    time: int
    repeated: bool
    head: Head


class Ledger(Protocol):
    """A ledger that this service is a gateway to. Adapters: `embedded.py`, `fabric/adapter.py`."""

    @property
    def name(self) -> str:
        """Name of the ledger, for which payloads are signed."""
        ...

    @property
    def kind(self) -> str:
        """`embedded` or `fabric`."""
        ...

    async def submit(self, transaction: Transaction) -> Commit:
        """Hand in a transaction, and wait until it is on the ledger.

        Raises:
            Refusal: the rules do not admit it.
            LedgerUnavailable: not now.
        """
        ...

    async def query(self, name: str, arguments: Record) -> Record:
        """Answer a query of `consilo.protocol.queries` from one consistent state.

        Raises:
            Refusal: there is no such thing.
            LedgerUnavailable: not now.
        """
        ...

    async def head(self) -> Head:
        """The newest block."""
        ...

    async def hash_at(self, height: int) -> str | None:
        """Hash of the block of this height, or None when there is none.

        Raises:
            LedgerUnavailable: `ledger-behind`: not here, but there may be one that other gateways have.
        """
        ...

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        """Up to `limit` blocks from a height on, each as one line of JSON."""
        ...

    async def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """Up to `limit` events after a place, in order."""
        ...

    async def end(self) -> Position:
        """The place after which the next event will come."""
        ...

    async def wait_after(self, height: int) -> None:
        """Return when the ledger has a block higher than `height`."""
        ...

    async def check(self) -> None:
        """Return when the ledger can answer.

        Raises:
            LedgerUnavailable: it cannot.
        """
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
