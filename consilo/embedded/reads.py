"""Reads of a state within one transaction of SQLite, for whatever keeps one in a table `state`. Reads a file.

Used by one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from consilo.embedded.errors import LedgerClosed, translated


class Reads:
    """Reads over a connection that is within a transaction, until they are closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursors: set[sqlite3.Cursor] = set()
        self._closed = False

    def get(self, key: str) -> bytes | None:
        """The record's canonical bytes, or None."""
        row = self._one("SELECT value FROM state WHERE key = ?", key)
        return None if row is None else bytes(row[0])

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys and records with start <= key < end, in the order of the keys' UTF-8 bytes, row by row."""
        yield from self._rows("SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key", start, end)

    def close(self) -> None:
        """End all reads: a statement that is half read would keep the transaction open."""
        self._closed = True
        for cursor in tuple(self._cursors):
            cursor.close()
        self._cursors.clear()

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        self._check_open()
        try:
            cursor = self._connection.execute(query, parameters)
            try:
                row: tuple[Any, ...] | None = cursor.fetchone()
            finally:
                cursor.close()
        except sqlite3.Error as error:
            raise translated(error) from error
        return row

    def _rows(self, query: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
        self._check_open()
        try:
            cursor = self._connection.execute(query, parameters)
        except sqlite3.Error as error:
            raise translated(error) from error
        self._cursors.add(cursor)
        try:
            while (row := self._next(cursor)) is not None:
                yield row
        finally:
            cursor.close()
            self._cursors.discard(cursor)

    def _next(self, cursor: sqlite3.Cursor) -> tuple[Any, ...] | None:
        self._check_open()
        try:
            row: tuple[Any, ...] | None = cursor.fetchone()
        except sqlite3.Error as error:
            raise translated(error) from error
        return row

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerClosed("the snapshot is over; read within its `with` block")
