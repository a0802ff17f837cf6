"""A ledger's file for tools that only read it, whether a service has it open or not. Reads it, copies it.

What is read here is only what the file says. That it is true is for `consilo.verification.embedded` to find out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from consilo.embedded.database import back_up, check_format, connect
from consilo.embedded.errors import LedgerCorrupt, LedgerFileError, translated
from consilo.protocol.canonical import digest


class LedgerFile:
    """All rows of a file as of one moment, each kind streamed in order. A context manager that closes itself.

    Args:
        path: of the file. Where it, or its directory, cannot be written, a backup or a ledger that was closed can still
            be read; of a ledger that is in use, also `<path>-wal` is read.
        busy_timeout_seconds: how long to wait for SQLite's own locks.

    Raises:
        LedgerFileError: `ledger-missing`, `ledger-format`.
        LedgerCorrupt: its tables are not those of a ledger, or cannot be read.
        LedgerUnavailable: the disk does not answer.
    """

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 10.0) -> None:
        if not path.is_file():
            raise LedgerFileError("ledger-missing", f"there is no ledger at {path}")
        try:
            self._connection = _connect(path, busy_timeout_seconds)
        except sqlite3.Error as error:
            raise translated(error) from error
        # A text that is not UTF-8 is a difference to be told like any other, not an error of the module.
        self._connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
        try:
            self._connection.execute("BEGIN")
            check_format(self._connection)
        except sqlite3.Error as error:
            self._connection.close()
            raise translated(error) from error
        except BaseException:
            self._connection.close()
            raise

    def blocks(self) -> Iterator[bytes]:
        """The bytes of all blocks, from the genesis on.

        Raises:
            LedgerCorrupt: a height is missing, or a block does not have the hash that the file gives for it.
        """
        rows = self._rows("SELECT height, hash, body FROM blocks ORDER BY height")
        for expected, (height, hash_, body) in enumerate(rows):
            if height != expected:
                raise LedgerCorrupt(f"block {expected} is missing from the file; the next is {height}", expected)
            if not isinstance(body, bytes) or digest(body) != hash_:
                raise LedgerCorrupt(f"block {height} does not have the hash that the file gives for it", height)
            yield body

    def state_rows(self) -> Iterator[tuple[str, bytes, int]]:
        """Key, record and height of the block that wrote it, of all records of the state."""
        yield from self._rows("SELECT key, value, height FROM state ORDER BY rowid")

    def entry_rows(self) -> Iterator[tuple[str, int, int]]:
        """Id, height and index of all transactions, as the file's index has them."""
        yield from self._rows("SELECT id, height, position FROM entries ORDER BY rowid")

    def problems(self, limit: int = 10) -> list[str]:
        """At most `limit` things that SQLite finds wrong with the file: pages, or indexes unlike their tables."""
        try:
            rows = self._connection.execute(f"PRAGMA integrity_check({max(limit, 1)})").fetchall()
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def back_up(self, path: Path) -> None:
        """Copy the ledger as of this moment into a new file of its own, complete or not at all.

        Raises:
            LedgerFileError: `ledger-exists`: nothing is overwritten.
            LedgerUnavailable: the disk is full or does not answer.
        """
        try:
            back_up(self._connection, path)
        except (sqlite3.Error, OSError) as error:
            raise translated(error) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows(self, query: str) -> Iterator[Any]:
        try:
            yield from self._connection.execute(query)
        except sqlite3.Error as error:
            raise translated(error) from error


def _connect(path: Path, busy_timeout_seconds: float) -> sqlite3.Connection:
    connection = connect(path, "ro", busy_timeout_seconds=busy_timeout_seconds)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        return connection
    except sqlite3.OperationalError:
        connection.close()
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
    except BaseException:
        connection.close()
        raise
    # The directory cannot be written, so SQLite cannot share a log that is not there: nobody else writes either.
    return connect(path, "immutable", busy_timeout_seconds=busy_timeout_seconds)
