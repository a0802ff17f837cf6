"""A replica of the chaincode's state, made from a peer's blocks alone; it answers all reads. Reads and writes a file.

The chain is checked: the data of every block have the hash that its header says, and every header that of the one
before. That the peer's word on which transactions are valid is true is not (`consilo verify` finds that out): the peers
that are listed are trusted for reading.

One thread at a time appends; any number of threads read snapshots. One process at a time has a replica open.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

import structlog

from consilo.api.models import CommittedEvent, Position
from consilo.embedded.errors import LedgerClosed, LedgerFileError, PositionUnknown, translated
from consilo.embedded.lock import WriteLock
from consilo.embedded.readers import Readers
from consilo.embedded.reads import Reads
from consilo.fabric.blocks import FabricBlock, FabricTransaction, data_hash, decode_block
from consilo.protocol.apply import Event
from consilo.protocol.refusals import InvalidInput
from services.ledger.fabric.errors import ChainDiffers
from services.ledger.fabric.replica_file import StoredEvent, Tip, insert_block, open_file, read_tip

EVENT_NAME: Final = "consilo"

_MAX_HEIGHT: Final = 2**53 - 1
_MAX_IDLE_READERS: Final = 8
_BUSY_TIMEOUT_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


class ReplicaSnapshot(Reads):
    """The replica as it was at one moment: a `consilo.protocol.state.State`, and the events."""

    def __init__(self, connection: sqlite3.Connection, channel: str) -> None:
        super().__init__(connection)
        self._channel = channel

    @property
    def ledger(self) -> str:
        """Name of the ledger: of the channel."""
        return self._channel

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at a height, or None when there is none yet."""
        if not 0 <= height <= _MAX_HEIGHT:
            return None
        row = self._one("SELECT hash FROM blocks WHERE height = ?", height)
        return None if row is None else str(row[0])

    def position_of(self, transaction_id: str) -> Position | None:
        """Where a transaction of the protocol stands, or None when it is not on the ledger."""
        row = self._one("SELECT height, position FROM transactions WHERE id = ?", transaction_id)
        return None if row is None else Position(height=int(row[0]), index=int(row[1]))

    def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """Up to `limit` events behind a position, in order.

        Raises:
            PositionUnknown: the replica has not come as far.
        """
        (height,) = self._one("SELECT coalesce(max(height), -1) FROM blocks") or (-1,)
        if after.height > height:
            raise PositionUnknown(
                f"the ledger ends at block {height}, before the position {after.height}.{after.index}"
            )
        rows = self._rows(
            "SELECT height, position, time, event FROM events WHERE (height, position) > (?, ?)"
            " ORDER BY height, position LIMIT ?",
            after.height,
            after.index,
            max(limit, 0),
        )
        return [
            CommittedEvent(position=Position(height=row[0], index=row[1]), time=row[2], event=Event.decode(row[3]))
            for row in rows
        ]


class Replica:
    """An open replica; made when the file is missing.

    Args:
        path: of the SQLite file.
        channel: name of the channel.
        chaincode: name of the chaincode.

    Raises:
        LedgerFileError: the file is something else, or another channel's or chaincode's, or in use.
        EmbeddedLedgerError: the disk does not answer.
    """

    def __init__(self, path: Path, *, channel: str, chaincode: str) -> None:
        self._path = path
        self._channel = channel
        self._chaincode = chaincode
        self._writing = threading.Lock()
        self._closed = False
        try:
            self._lock = WriteLock(path)
        except OSError as error:
            raise LedgerFileError("ledger-unwritable", f"{path}.lock cannot be made: {error.strerror}") from error
        try:
            self._connection: sqlite3.Connection | None = self._connect()
            self._tip = read_tip(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise translated(error) from error
        except BaseException:
            self._lock.release()
            raise
        self._readers = Readers(
            path,
            lambda connection: ReplicaSnapshot(connection, channel),
            max_idle=_MAX_IDLE_READERS,
            busy_timeout_seconds=_BUSY_TIMEOUT_SECONDS,
        )

    @property
    def tip(self) -> Tip | None:
        """The newest block; None when there is none yet."""
        return self._tip

    def snapshot(self) -> AbstractContextManager[ReplicaSnapshot]:
        """`with replica.snapshot() as state:` the replica as it is now, for several reads that belong together."""
        return self._readers.snapshot()

    def append(self, blocks: Sequence[bytes]) -> None:
        """Write serialised blocks, in order, in one transaction of SQLite. Those that it has are compared with it.

        Raises:
            ChainDiffers: a block is not the one that is there, or does not follow on the newest.
            FabricBlockError: the bytes are no block.
            EmbeddedLedgerError: the file cannot be written. Nothing of these blocks is.
        """
        decoded = [decode_block(block) for block in blocks]
        with self._writing:
            self._tip = self._append(decoded)

    def _append(self, blocks: Sequence[FabricBlock]) -> Tip | None:
        try:
            if self._closed:
                raise LedgerClosed("the replica is closed")
            if self._connection is None:
                self._connection = self._connect()
                self._tip = read_tip(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            tip = self._tip
            for block in blocks:
                tip = self._write(self._connection, tip, block)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise translated(error) from error
        except BaseException:
            self._disconnect()
            raise
        return tip

    def close(self) -> None:
        """Let go of the file."""
        self._readers.close()
        with self._writing:
            self._closed = True
            self._disconnect()
        self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        return open_file(
            self._path,
            channel=self._channel,
            chaincode=self._chaincode,
            busy_timeout_seconds=_BUSY_TIMEOUT_SECONDS,
        )

    def _disconnect(self) -> None:
        """Close the connection, with what was not committed; the next append opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _write(self, connection: sqlite3.Connection, tip: Tip | None, block: FabricBlock) -> Tip | None:
        found = Tip(block.number, block.hash)
        if tip is not None and block.number <= tip.height:
            row = connection.execute("SELECT hash FROM blocks WHERE height = ?", (block.number,)).fetchone()
            if row != (block.hash,):
                raise ChainDiffers(f"block {block.number} is not the one that the replica has")
            return tip
        if block.number != (0 if tip is None else tip.height + 1):
            have = "none" if tip is None else f"block {tip.height}"
            raise ChainDiffers(f"block {block.number} came, but the newest before is {have}")
        if tip is not None and block.previous != tip.hash:
            raise ChainDiffers(f"block {block.number} does not follow on the block before it that the replica has")
        if data_hash(block.raw) != block.data_hash:
            raise ChainDiffers(f"the transactions of block {block.number} are not those of its header")
        ours = [each for each in block.transactions if each.valid and each.chaincode == self._chaincode]
        insert_block(connection, found, changes=_changes(ours), events=_events(ours))
        return found


def _changes(transactions: Sequence[FabricTransaction]) -> Iterator[tuple[str, bytes | None]]:
    for transaction in transactions:
        yield from transaction.writes.items()
        yield from ((key, None) for key in transaction.deletes)


def _events(transactions: Sequence[FabricTransaction]) -> Iterator[StoredEvent]:
    for transaction in transactions:
        if transaction.event is not None and transaction.event_name == EVENT_NAME:
            try:
                event = Event.decode(transaction.event)
            except InvalidInput as error:  # a chaincode that is not Consilo's, endorsed by a majority all the same
                log.warning("an event cannot be read", fabric_transaction=transaction.id, reason=error.message)
                continue
            yield StoredEvent(event.transaction, transaction.index, transaction.time, transaction.event)
