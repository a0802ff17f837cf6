"""What a ledger was at one moment: the state and the chain, read within one transaction of SQLite. Reads the file.

A snapshot sees what was committed when it was taken, however long it is used; the writer is not held up by it, but the
write-ahead log cannot be shortened meanwhile. It is used by one thread at a time.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from consilo.embedded.blocks import Block, CommittedEvent, Genesis, events_of
from consilo.embedded.database import back_up
from consilo.embedded.errors import LedgerCorrupt, PositionUnknown, translated
from consilo.embedded.positions import MAX_HEIGHT, Head, Position
from consilo.embedded.reads import Reads
from consilo.protocol.refusals import InvalidInput


class Snapshot(Reads):
    """Reads over a connection that is within a transaction. A `consilo.protocol.state.State`, and the chain."""

    def __init__(self, connection: sqlite3.Connection, genesis: Genesis) -> None:
        super().__init__(connection)
        self._genesis = genesis

    @property
    def ledger(self) -> str:
        """Name of the ledger."""
        return self._genesis.ledger

    # The chain

    @property
    def genesis(self) -> Genesis:
        """Block 0."""
        return self._genesis

    def head(self) -> Head:
        """The last block."""
        row = self._one("SELECT height, hash FROM blocks ORDER BY height DESC LIMIT 1")
        if row is None:
            raise LedgerCorrupt("the ledger has no block, not even its genesis", 0)
        return Head(self.ledger, int(row[0]), str(row[1]))

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at a height, or None when there is none yet."""
        if not 0 <= height <= MAX_HEIGHT:
            return None
        row = self._one("SELECT hash FROM blocks WHERE height = ?", height)
        return None if row is None else str(row[0])

    def blocks(self, start: int, limit: int, *, max_bytes: int) -> list[bytes]:
        """The bytes of blocks from a height on, in order.

        Args:
            start: height of the first.
            limit: how many at most.
            max_bytes: how many bytes at most in all; the first block is returned whatever its size.
        """
        found: list[bytes] = []
        if limit < 1 or start > MAX_HEIGHT:
            return found
        rows = self._rows("SELECT body FROM blocks WHERE height >= ? ORDER BY height LIMIT ?", max(start, 0), limit)
        for (body,) in rows:
            max_bytes -= len(body)
            if found and max_bytes < 0:
                break
            found.append(bytes(body))
        return found

    def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """Events behind a position, in order, at most `limit` of them.

        Raises:
            PositionUnknown: the ledger has not come as far. Whoever got the position from it has seen blocks that
                are gone.
            LedgerCorrupt: a block cannot be read.
        """
        head = self.head()
        if after.height > head.height:
            message = f"the ledger ends at block {head.height}, before the position {after}: it was rolled back"
            raise PositionUnknown(message)
        found: list[CommittedEvent] = []
        query = "SELECT height, body FROM blocks WHERE height >= ? ORDER BY height"
        # Row by row, so that no more blocks are read than are needed.
        for height, body in self._rows(query, max(after.height, 1)):
            if len(found) >= limit:
                break
            try:
                found.extend(event for event in events_of(Block.decode(body)) if event.position > after)
            except InvalidInput as error:
                raise LedgerCorrupt(f"block {height} cannot be read: {error.message}", height) from None
        return found[: max(limit, 0)]

    def position_of(self, transaction_id: str) -> Position | None:
        """Where a transaction stands, or None when it is not on the ledger."""
        row = self._one("SELECT height, position FROM entries WHERE id = ?", transaction_id)
        return None if row is None else Position(int(row[0]), int(row[1]))

    def written_up_to(self) -> int:
        """Height of the block that wrote the newest record of the state; 0 when nothing was written."""
        row = self._one("SELECT height FROM state ORDER BY rowid DESC LIMIT 1")
        return 0 if row is None else int(row[0])

    def back_up(self, path: Path) -> None:
        """Copy the ledger as of this snapshot into a new file of its own.

        Raises:
            LedgerFileError: `ledger-exists`.
            LedgerUnavailable: the disk is full or does not answer.
        """
        self._check_open()
        try:
            back_up(self._connection, path)
        except (sqlite3.Error, OSError) as error:
            raise translated(error) from error
