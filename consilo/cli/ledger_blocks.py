"""A ledger's blocks as they are shown, whatever kind of ledger it is. Pure; no I/O. Nothing is checked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consilo.embedded.blocks import Entry, decode_block, decode_genesis
from consilo.protocol.apply import Event
from consilo.protocol.canonical import MAX_BYTES, digest
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.transaction import Transaction


@dataclass(frozen=True)
class ShownTransaction:
    """One transaction.

    Attributes:
        index: in its block.
        id: of the transaction; of Fabric's, where it is none of Consilo's.
        time: milliseconds since 1970-01-01 UTC.
        type: what it does.
        by: the member; of what is none of Consilo's, the organisation.
        event: what it made known, or None.
        remark: what keeps it from counting, or None.
        request: as its member signed it, or None.
        fabric: what only Fabric knows of it: its id there, the peer's code, who endorsed it; None elsewhere.
    """

    index: int
    id: str
    time: int
    type: str
    by: str
    event: Event | None
    remark: str | None = None
    request: Transaction | None = None
    fabric: dict[str, Any] | None = None

    @property
    def about(self) -> str:
        """The run and round that it is about."""
        if self.event is None or self.event.run is None:
            return ""
        return self.event.run + ("" if self.event.round is None else f" round {self.event.round}")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        event = self.event
        return {
            "id": self.id,
            "time": self.time,
            "type": self.type,
            "member": self.by,
            "run": None if event is None else event.run,
            "round": None if event is None else event.round,
            "attempt": None if event is None else event.attempt,
            "effects": [] if event is None else list(event.effects),
            **({} if self.fabric is None else {"fabric": self.fabric}),
        }


@dataclass(frozen=True)
class ShownBlock:
    """One block.

    Attributes:
        height: of the block.
        hash: of the block.
        created_at: of the genesis, milliseconds since 1970-01-01 UTC; None for other blocks.
        genesis: what the genesis says; None for other blocks.
        transactions: in order.
    """

    height: int
    hash: str
    transactions: tuple[ShownTransaction, ...] = ()
    created_at: int | None = None
    genesis: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        content: dict[str, Any] = (
            {"transactions": [transaction.as_json() for transaction in self.transactions]}
            if self.genesis is None
            else {"genesis": self.genesis}
        )
        return {"height": self.height, "hash": self.hash, **content}


def shown_block(kind: str, height: int, body: bytes) -> ShownBlock:
    """A block of a ledger of this kind.

    Raises:
        InvalidInput: `malformed`: it cannot be read.
    """
    return _on_fabric(height, body) if kind == "fabric" else _embedded(height, body)


def _embedded(height: int, body: bytes) -> ShownBlock:
    hash_ = digest(body)
    if height == 0:
        first = decode_genesis(body)
        return ShownBlock(0, hash_, created_at=first.created_at, genesis=first.model_dump(mode="json"))
    entries = decode_block(body).entries
    return ShownBlock(height, hash_, tuple(_entry(index, entry) for index, entry in enumerate(entries)))


def _entry(index: int, entry: Entry) -> ShownTransaction:
    request = entry.transaction
    payload = request.payload
    return ShownTransaction(index, request.id, entry.time, payload.type, payload.member, entry.event, request=request)


def _on_fabric(height: int, body: bytes) -> ShownBlock:
    # What is Fabric's is imported only when a ledger on Fabric is shown: it needs the extra `fabric`.
    from consilo.fabric.blocks import FabricBlockError, decode_block

    try:
        block = decode_block(body)
        transactions = tuple(_fabric_transaction(each) for each in block.transactions)
    except FabricBlockError as error:
        raise InvalidInput("malformed", f"block {height} cannot be read: {error.message}") from None
    if height == 0 and block.transactions:
        first = block.transactions[0]
        return ShownBlock(0, block.hash, created_at=first.time, genesis={"ledger": first.channel})
    return ShownBlock(height, block.hash, transactions)


def _fabric_transaction(transaction: Any) -> ShownTransaction:
    from consilo.fabric.transactions import CONFIG
    from consilo.fabric.validity import name_of

    code = name_of(transaction.code)
    endorsed_by = sorted({each.msp for each in transaction.endorsements}) if transaction.chaincode else []
    request, event = _request(transaction), _event(transaction)
    function = transaction.arguments[0].decode(errors="replace")[:100] if transaction.arguments else ""
    kind = "configuration" if transaction.type == CONFIG else f"{transaction.chaincode or '?'} {function}".strip()
    return ShownTransaction(
        index=transaction.index,
        id=transaction.id if request is None else request.id,
        time=transaction.time,
        type=kind if request is None else request.payload.type,
        by=transaction.creator_msp if request is None else request.payload.member,
        event=event,
        remark=code if not transaction.valid else "repeated" if request is not None and event is None else None,
        request=request,
        fabric={"id": transaction.id, "code": code, "endorsed_by": endorsed_by},
    )


def _request(transaction: Any) -> Transaction | None:
    if transaction.arguments[:1] != (b"submit",) or len(transaction.arguments) < 2:
        return None
    try:
        return Transaction.parse(transaction.arguments[1], max_bytes=MAX_BYTES)
    except InvalidInput:
        return None


def _event(transaction: Any) -> Event | None:
    try:
        return None if transaction.event is None else Event.decode(transaction.event)
    except InvalidInput:
        return None
