"""What is checked when a ledger's file is opened: quickly, that it ends as one ledger. Reads the file.

A replay (`consilo.verification.embedded`) checks all of it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from consilo.embedded.blocks import Genesis, decode_block, decode_genesis, events_of
from consilo.embedded.errors import LedgerCorrupt
from consilo.embedded.positions import Head
from consilo.embedded.snapshot import Snapshot
from consilo.protocol import keys
from consilo.protocol.canonical import digest
from consilo.protocol.refusals import InvalidInput


@dataclass(frozen=True)
class Tip:
    """Where the next block goes on.

    Attributes:
        head: the last block.
        time: of its last transaction (of the genesis, when there is none), milliseconds since 1970-01-01 UTC.
    """

    head: Head
    time: int


def read_genesis(connection: sqlite3.Connection) -> Genesis:
    """Block 0 of a file.

    Raises:
        LedgerCorrupt: there is none, or it cannot be read.
    """
    row = connection.execute("SELECT hash, body FROM blocks WHERE height = 0").fetchone()
    if row is None or digest(row[1]) != row[0]:
        raise LedgerCorrupt("block 0 is missing or does not have its hash", 0)
    try:
        return decode_genesis(row[1])
    except InvalidInput as error:
        raise LedgerCorrupt(f"block 0 is no genesis: {error.message}", 0) from None


def read_tip(snapshot: Snapshot) -> Tip:
    """The end of the ledger, after checking it.

    Raises:
        LedgerCorrupt: the last block does not have its hash, does not follow the one before, or is not the last that
            wrote to the state.
    """
    head = snapshot.head()
    height = head.height
    (body,) = snapshot.blocks(height, 1, max_bytes=0)
    if digest(body) != head.hash:
        raise LedgerCorrupt(f"block {height} does not have its hash; restore a backup", height)
    written = snapshot.written_up_to()
    if written != height:
        message = f"the state is that of block {written}, but the last block is {height}; restore a backup"
        raise LedgerCorrupt(message, min(written, height))
    if height == 0:
        return Tip(head, snapshot.genesis.created_at)
    try:
        block = decode_block(body)
    except InvalidInput as error:
        raise LedgerCorrupt(f"block {height} cannot be read: {error.message}", height) from None
    before = snapshot.hash_at(height - 1)
    if (block.ledger, block.height, block.previous) != (snapshot.ledger, height, before):
        raise LedgerCorrupt(f"block {height} does not follow the block before it; restore a backup", height)
    for event in events_of(block):
        transaction = event.event.transaction
        if snapshot.position_of(transaction) != event.position or snapshot.get(keys.transaction(transaction)) is None:
            raise LedgerCorrupt(f"the state does not hold what block {height} wrote; restore a backup", height)
    return Tip(head, block.entries[-1].time)
