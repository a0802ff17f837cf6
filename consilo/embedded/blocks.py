"""The form of the embedded ledger's blocks: canonical JSON, each with the hash of the one before. Pure; no I/O.

Block 0 is the genesis; from 1 on:

    {"schema_version": 1, "ledger": ..., "height": n, "previous": <hash of block n - 1>,
     "entries": [{"transaction": {...}, "time": ms, "vouched": bool, "event": {...}, "writes": <digest>}, ...]}

The hash of a block is the SHA-256 of its bytes. A block holds what was asked (the signed transactions) and what came of
it (the event and the digest of the writes), so that a replay can compare; the state itself follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from consilo.embedded.positions import Position
from consilo.protocol.apply import Event
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.canonical import canonical
from consilo.protocol.certificates import roots_digest
from consilo.protocol.model import Record
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.transaction import Transaction, certificate_der
from consilo.protocol.values import Digest, LedgerName, Milliseconds, Msp

_REGISTRATION: Final = "register_organisation"


class Genesis(Record):
    """Block 0: the name of the ledger, and who may speak for which organisation at first.

    Attributes:
        ledger: the name that every transaction is signed for.
        organisations: MSP id -> digest of its CA roots (`consilo.protocol.certificates.roots_digest`).
        created_at: milliseconds since 1970-01-01 UTC; no transaction is earlier.
    """

    schema_version: Literal[1] = 1
    ledger: LedgerName
    organisations: Annotated[dict[Msp, Digest], Field(min_length=1, max_length=1000)]
    created_at: Milliseconds


class Entry(Record):
    """One admitted transaction.

    Attributes:
        transaction: as its member signed it.
        time: its time, milliseconds since 1970-01-01 UTC; never before the entry before.
        vouched: whether the genesis vouches for it (`vouched`).
        event: what it made known.
        writes: digest of what it wrote (`consilo.protocol.state.writes_digest`).
    """

    transaction: Transaction
    time: Milliseconds
    vouched: bool
    event: Event
    writes: Digest


class Block(Record):
    """What was committed at once."""

    schema_version: Literal[1] = 1
    ledger: LedgerName
    height: Annotated[int, Field(ge=1, le=2**53 - 1)]
    previous: Digest
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]


@dataclass(frozen=True)
class CommittedEvent:
    """An event and where it stands.

    Attributes:
        position: of its transaction.
        time: of its transaction, milliseconds since 1970-01-01 UTC.
        event: what the transaction made known.
    """

    position: Position
    time: int
    event: Event


def decode_genesis(data: bytes) -> Genesis:
    """Read block 0.

    Raises:
        InvalidInput: `malformed`: other fields, or not the canonical bytes.
    """
    genesis = Genesis.decode(data)
    _check_canonical(genesis, data)
    return genesis


def decode_block(data: bytes) -> Block:
    """Read a block from 1 on.

    Raises:
        InvalidInput: `malformed`: other fields, or not the canonical bytes.
    """
    block = Block.decode(data)
    _check_canonical(block, data)
    return block


def events_of(block: Block) -> tuple[CommittedEvent, ...]:
    """The block's events, in order."""
    return tuple(
        CommittedEvent(Position(block.height, index), entry.time, entry.event)
        for index, entry in enumerate(block.entries)
    )


def vouched(genesis: Genesis, transaction: Transaction) -> bool:
    """Whether the ledger vouches that the sender speaks for its organisation.

    It does for a first registration that brings exactly the roots whose digest the genesis names; for no later one,
    since an organisation that has replaced its roots must not fall back to those of the genesis.
    """
    payload = transaction.payload
    if payload.type != _REGISTRATION:
        return False
    expected = genesis.organisations.get(payload.member.split("/", 1)[0])
    try:
        body = RegisterOrganisation.decode(canonical(payload.body))
        found = roots_digest([certificate_der(root) for root in body.roots])
    except InvalidInput:
        return False
    return body.version == 1 and found == expected


def check_fits(transaction: Transaction) -> int:
    """Check that the transaction can stand in a block: there it is nested deeper than by itself.

    Returns:
        The number of its bytes there.

    Raises:
        InvalidInput: `malformed`, when it has no canonical form.
    """
    wrapping = len(canonical({"entries": [{"transaction": None}]})) - len("null")
    return len(canonical({"entries": [{"transaction": transaction.model_dump(mode="json")}]})) - wrapping


def _check_canonical(record: Record, data: bytes) -> None:
    if record.encode() != data:
        raise InvalidInput("malformed", "not the canonical bytes of the block")
