"""The ledger of one machine: the state machine on an SQLite file, in a chain of blocks. Reads and writes the file.

One thread writes (group commit: many transactions, one block, one wait for the disk); any number of threads read
snapshots. One process at a time has a ledger open. All calls may come from any thread; all but `submit` and `head`
wait for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from consilo.embedded.blocks import CommittedEvent, Genesis
from consilo.embedded.committing import Committer
from consilo.embedded.database import check_format, connect, create_file
from consilo.embedded.errors import LedgerFileError, translated
from consilo.embedded.lock import WriteLock
from consilo.embedded.opening import read_genesis
from consilo.embedded.positions import Head, Position
from consilo.embedded.readers import Readers
from consilo.embedded.receipts import Commit, Receipt
from consilo.embedded.settings import LedgerSettings, wall_clock
from consilo.embedded.snapshot import Snapshot
from consilo.embedded.writer import Writer
from consilo.protocol.transaction import Transaction


class EmbeddedLedger:
    """An open ledger. Made by `open`; a context manager that closes itself."""

    def __init__(self, path: Path, genesis: Genesis, lock: WriteLock, committer: Committer, settings: LedgerSettings):
        """Not for callers: see `open`."""
        self._path = path
        self._genesis = genesis
        self._lock = lock
        self._settings = settings
        self._head = committer.head
        self._readers = Readers(
            path,
            lambda connection: Snapshot(connection, genesis),
            max_idle=settings.max_idle_readers,
            busy_timeout_seconds=settings.busy_timeout_seconds,
        )
        self._writer = Writer(committer, settings, self._committed)

    @staticmethod
    def create(path: Path, genesis: Genesis) -> Head:
        """Make a ledger's file, with nothing but its genesis.

        Raises:
            LedgerFileError: `ledger-exists`.
            LedgerUnavailable: the disk is full or does not answer.
        """
        try:
            return Head(genesis.ledger, 0, create_file(path, genesis))
        except (sqlite3.Error, OSError) as error:
            raise translated(error) from error

    @classmethod
    def open(cls, path: Path, *, settings: LedgerSettings | None = None, clock: Callable[[], int] = wall_clock) -> Self:
        """Open a ledger for reading and writing.

        Args:
            path: of the file that `create` made.
            settings: limits.
            clock: milliseconds since 1970-01-01 UTC; the ledger's time never goes back, whatever the clock does.

        Raises:
            LedgerFileError: `ledger-missing`, `ledger-locked`, `ledger-format`, `ledger-unwritable`.
            LedgerCorrupt: the file does not end as a ledger does (a replay checks all of it).
            LedgerUnavailable: the disk does not answer.
        """
        settings = settings or LedgerSettings()
        if not path.is_file():
            raise LedgerFileError("ledger-missing", f"there is no ledger at {path}; make one first")
        try:
            lock = WriteLock(path)
        except OSError as error:
            raise LedgerFileError("ledger-unwritable", f"{path}.lock cannot be made: {error.strerror}") from error
        try:
            connection = connect(path, "rw", busy_timeout_seconds=settings.busy_timeout_seconds)
            try:
                check_format(connection)
                genesis = read_genesis(connection)
            finally:
                connection.close()
            return cls(path, genesis, lock, Committer(path, genesis, settings=settings, clock=clock), settings)
        except (sqlite3.Error, OSError) as error:
            lock.release()
            raise translated(error) from error
        except BaseException:
            lock.release()
            raise

    @property
    def name(self) -> str:
        """Name of the ledger: what every transaction is signed for."""
        return self._genesis.ledger

    @property
    def genesis(self) -> Genesis:
        """Block 0."""
        return self._genesis

    # Writing

    def submit(self, transaction: Transaction) -> Future[Receipt]:
        """Ask for a transaction to be applied.

        Returns:
            Its receipt, once it is on the disk; else its exception: a `Refusal` when the rules do not admit it (also
            `malformed` or `too-large`), `LedgerUnavailable` when the disk failed (the same request may be sent again),
            or another `EmbeddedLedgerError`. A future that was cancelled in time leaves the transaction out.

        Raises:
            LedgerOverloaded: too many are waiting.
            LedgerClosed: the ledger was closed.
        """
        return self._writer.submit(transaction)

    def subscribe(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Call back after each commit, in order, on the writer's thread.

        It must be quick, and must not wait for a commit or close the ledger. What it raises is logged. Commits before
        the call are read with `events`; so is a gap between two heights, which an error of the disk can leave.

        Returns:
            What ends it.
        """
        return self._writer.subscribe(callback)

    # Reading

    def head(self) -> Head:
        """The last block on the disk."""
        return self._head

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """`with ledger.snapshot() as state:` the ledger as it is now, for several reads that belong together."""
        return self._readers.snapshot()

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at a height, or None when there is none yet."""
        with self.snapshot() as snapshot:
            return snapshot.hash_at(height)

    def blocks(self, start: int, limit: int) -> list[bytes]:
        """The bytes of at most `limit` blocks from height `start` on, and of no more than the settings allow."""
        with self.snapshot() as snapshot:
            return snapshot.blocks(start, limit, max_bytes=self._settings.max_read_bytes)

    def events(self, after: Position, limit: int) -> list[CommittedEvent]:
        """At most `limit` events behind a position (at first `BEGINNING`), in order.

        Raises:
            PositionUnknown: the ledger has not come as far.
        """
        with self.snapshot() as snapshot:
            return snapshot.events(after, limit)

    def position_of(self, transaction_id: str) -> Position | None:
        """Where a transaction stands, or None when it is not on the ledger."""
        with self.snapshot() as snapshot:
            return snapshot.position_of(transaction_id)

    def backup(self, path: Path) -> Head:
        """Copy the ledger as it is now into one new file, while it goes on.

        Returns:
            The head of the copy.

        Raises:
            LedgerFileError: `ledger-exists`.
            LedgerUnavailable: the disk is full or does not answer.
        """
        with self.snapshot() as snapshot:
            snapshot.back_up(path)
            return snapshot.head()

    # The end

    def close(self) -> None:
        """Commit what waits, then let go of the file; a second call does nothing."""
        self._readers.close()
        self._writer.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _committed(self, commit: Commit) -> None:
        self._head = commit.head
