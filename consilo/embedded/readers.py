"""The connections that read a ledger while it is written: one per snapshot, kept for the next. Reads the file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consilo.embedded.blocks import Genesis
from consilo.embedded.database import connect
from consilo.embedded.errors import LedgerClosed, translated
from consilo.embedded.settings import LedgerSettings
from consilo.embedded.snapshot import Snapshot


class Readers:
    """Gives out snapshots to any number of threads."""

    def __init__(self, path: Path, genesis: Genesis, settings: LedgerSettings) -> None:
        self._path = path
        self._genesis = genesis
        self._settings = settings
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The ledger as it is now, until the `with` block ends.

        Raises:
            LedgerClosed: the ledger was closed.
            LedgerUnavailable: the file cannot be read now.
        """
        connection = self._take()
        snapshot = Snapshot(connection, self._genesis)
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
            return connect(self._path, "ro", busy_timeout_seconds=self._settings.busy_timeout_seconds)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        with self._lock:
            if not self._closed and len(self._idle) < self._settings.max_idle_readers:
                self._idle.append(connection)
                return
        connection.close()
