"""The connections that read a file while it is written: one per snapshot, kept for the next. Reads the file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from consilo.embedded.database import connect
from consilo.embedded.errors import LedgerClosed, translated
from consilo.embedded.reads import Reads

S = TypeVar("S", bound=Reads)


class Readers(Generic[S]):
    """Gives out snapshots to any number of threads.

    Args:
        path: of the file, which has a table `blocks`.
        make: makes a snapshot of a connection that is within a transaction.
        max_idle: connections that are kept open when nobody reads.
        busy_timeout_seconds: how long to wait for SQLite's own locks.
    """

    def __init__(
        self,
        path: Path,
        make: Callable[[sqlite3.Connection], S],
        *,
        max_idle: int,
        busy_timeout_seconds: float,
    ) -> None:
        self._path = path
        self._make = make
        self._max_idle = max_idle
        self._busy_timeout_seconds = busy_timeout_seconds
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[S]:
        """What the file holds now, until the `with` block ends.

        Raises:
            LedgerClosed: the ledger was closed.
            LedgerUnavailable: the file cannot be read now.
        """
        connection = self._take()
        snapshot = self._make(connection)
        try:
            try:
                connection.execute("BEGIN")
                # SQLite takes the snapshot at the first read, not at BEGIN.
                connection.execute("SELECT 1 FROM blocks LIMIT 1").fetchone()
            except sqlite3.Error as error:
                raise translated(error) from error
            yield snapshot
        finally:
            snapshot.close()
            self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections; those in use close when their snapshot ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise LedgerClosed("the ledger is closed")
            if self._idle:
                return self._idle.pop()
        try:
            return connect(self._path, "ro", busy_timeout_seconds=self._busy_timeout_seconds)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        with self._lock:
            if not self._closed and len(self._idle) < self._max_idle:
                self._idle.append(connection)
                return
        connection.close()
