"""From a batch of transactions to one block in one transaction of SQLite. Reads and writes the file; one thread.

Transactions are applied in their order, each to the state that the ones before it left. Nobody is told anything, not
even a refusal, before the block is on the disk: a refusal may rest on a transaction of the same batch.
"""

from __future__ import annotations

import heapq
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consilo.embedded.blocks import Block, Entry, Genesis, events_of, vouched
from consilo.embedded.database import connect, insert_block, prepare_writing
from consilo.embedded.errors import EmbeddedLedgerError, LedgerCorrupt, LedgerDefect, translated
from consilo.embedded.opening import Tip, read_tip
from consilo.embedded.positions import Head, Position
from consilo.embedded.receipts import Commit, Receipt
from consilo.embedded.settings import LedgerSettings
from consilo.embedded.snapshot import Snapshot
from consilo.protocol import keys
from consilo.protocol.apply import apply
from consilo.protocol.canonical import digest
from consilo.protocol.records import Applied
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import read, writes_digest
from consilo.protocol.transaction import Transaction

_log = logging.getLogger(__name__)

Answer = Receipt | Refusal | EmbeddedLedgerError


class Overlay:
    """A state with the writes of a batch on top, which are not on the disk yet. Keys are written once."""

    def __init__(self, state: Snapshot) -> None:
        self._state = state
        self.writes: dict[str, bytes] = {}

    @property
    def ledger(self) -> str:
        """Name of the ledger."""
        return self._state.ledger

    def get(self, key: str) -> bytes | None:
        """The record's canonical bytes, or None."""
        written = self.writes.get(key)
        return self._state.get(key) if written is None else written

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys and records with start <= key < end, in the order of the keys' UTF-8 bytes."""
        written = sorted(item for item in self.writes.items() if start <= item[0] < end)
        yield from heapq.merge(self._state.range(start, end), written)


@dataclass
class _Batch:
    """What came of a batch so far; answers with a position wait for the head."""

    overlay: Overlay
    time: int
    entries: list[Entry] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    answers: list[tuple[str, Position, int, bool] | Refusal | EmbeddedLedgerError] = field(default_factory=list)


class Committer:
    """Owns the connection that writes. After an error it opens the file anew, and goes on where the disk is.

    Args:
        path: of the file.
        genesis: of the ledger.
        settings: limits.
        clock: milliseconds since 1970-01-01 UTC.

    Raises:
        LedgerCorrupt: the file does not end as a ledger does.
        EmbeddedLedgerError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path, genesis: Genesis, *, settings: LedgerSettings, clock: Callable[[], int]) -> None:
        self._path = path
        self._genesis = genesis
        self._settings = settings
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._tip: Tip | None = None
        self._seen: Head | None = None
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise translated(error) from error
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> Head:
        """The last block that is known to be on the disk."""
        assert self._seen is not None  # noqa: S101 - set by every way through __init__
        return self._seen

    def commit(self, transactions: Sequence[Transaction]) -> tuple[list[Answer], Commit | None]:
        """Apply transactions and commit those that are admitted as one block.

        Returns:
            An answer for each, in order, and what was committed, if anything was.

        Raises:
            EmbeddedLedgerError: the file could not be read or written; no transaction of the batch has an answer.
        """
        try:
            connection, tip = self._open()
            connection.execute("BEGIN IMMEDIATE")
            snapshot = Snapshot(connection, self._genesis)
            batch = _Batch(Overlay(snapshot), tip.time)
            for transaction in transactions:
                self._apply(batch, snapshot, transaction, tip.head.height + 1)
            commit = None
            if batch.entries:
                commit = self._write(connection, batch, tip)
            else:
                connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise translated(error) from error
        except BaseException:
            self.close()
            raise
        head = self.head
        return [
            Receipt(answer[0], answer[1], answer[2], head, answer[3]) if isinstance(answer, tuple) else answer
            for answer in batch.answers
        ], commit

    def close(self) -> None:
        """Close the connection, with what was not committed; a next commit opens it again."""
        connection, self._connection, self._tip = self._connection, None, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                _log.warning("closing the ledger's file: %s", error)

    def _open(self) -> tuple[sqlite3.Connection, Tip]:
        if self._connection is None:
            self._connection = connect(self._path, "rw", busy_timeout_seconds=self._settings.busy_timeout_seconds)
            prepare_writing(self._connection)
        if self._tip is None:
            snapshot = Snapshot(self._connection, self._genesis)
            tip = read_tip(snapshot)
            if self._seen is not None and snapshot.hash_at(self._seen.height) != self._seen.hash:
                raise LedgerCorrupt("the file has been replaced by another ledger or an older one while it was in use")
            self._tip, self._seen = tip, tip.head
        return self._connection, self._tip

    def _apply(self, batch: _Batch, snapshot: Snapshot, transaction: Transaction, height: int) -> None:
        time = max(self._clock(), batch.time)
        try:
            is_vouched = vouched(self._genesis, transaction)
            outcome = apply(batch.overlay, transaction, time, vouched=is_vouched)
            if outcome.event is None:
                batch.answers.append(self._repeated(batch, snapshot, transaction.id))
                return
            entry = Entry(
                transaction=transaction,
                time=time,
                vouched=is_vouched,
                event=outcome.event,
                writes=writes_digest(outcome.writes),
            )
        except Refusal as refusal:
            batch.answers.append(refusal)
            return
        except (EmbeddedLedgerError, sqlite3.Error, OSError):
            raise
        except Exception:
            # A defect of a transition must not stop the ledger for everybody else. It has written to its draft only.
            _log.exception("transaction %s could not be applied", transaction.id)
            batch.answers.append(LedgerDefect(f"transaction {transaction.id} could not be applied; this is a defect"))
            return
        position = Position(height, len(batch.entries))
        batch.time = time
        batch.entries.append(entry)
        batch.overlay.writes.update(outcome.writes)
        batch.positions[transaction.id] = position
        batch.answers.append((transaction.id, position, time, False))

    @staticmethod
    def _repeated(batch: _Batch, snapshot: Snapshot, transaction: str) -> tuple[str, Position, int, bool]:
        position = batch.positions.get(transaction) or snapshot.position_of(transaction)
        applied = read(batch.overlay, keys.transaction(transaction), Applied)
        if position is None or applied is None:
            raise LedgerCorrupt(f"transaction {transaction} is in the state and in no block; restore a backup")
        return transaction, position, applied.applied_at, True

    def _write(self, connection: sqlite3.Connection, batch: _Batch, tip: Tip) -> Commit:
        block = Block(
            ledger=self._genesis.ledger,
            height=tip.head.height + 1,
            previous=tip.head.hash,
            entries=tuple(batch.entries),
        )
        body = block.encode()
        head = Head(block.ledger, block.height, digest(body))
        insert_block(connection, head.height, head.hash, body, batch.overlay.writes.items(), batch.positions)
        connection.execute("COMMIT")
        self._tip = Tip(head, batch.time)
        self._seen = head
        return Commit(head, events_of(block))
