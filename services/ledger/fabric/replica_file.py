"""The SQLite file of a replica: its tables, how it is opened, how a block is written into it. Does file I/O.

    origin        channel, chaincode            whose replica this is
    blocks        height, hash                  of all blocks; the last is the checkpoint
    state         key, value                    of the chaincode's namespace
    events        height, position, time, event what the transactions made known, canonical bytes
    transactions  id, height, position          where each transaction of the protocol stands

Everything follows from the channel's blocks: a file that is gone is built anew. So a commit need not survive a power
cut (write-ahead log with `synchronous=NORMAL`); a block is in the file whole or not at all. Functions raise
`sqlite3.Error` or `OSError` as they come; callers translate them (`consilo.embedded.errors.translated`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consilo.embedded.database import connect
from consilo.embedded.errors import LedgerFileError

FORMAT_VERSION: Final = 1
APPLICATION_ID: Final = 0x436F5231  # "CoR1"

_SCHEMA: Final = (
    "CREATE TABLE origin (channel TEXT NOT NULL, chaincode TEXT NOT NULL) STRICT",
    "CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash TEXT NOT NULL) STRICT",
    "CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY COLLATE BINARY, value BLOB NOT NULL) STRICT",
    "CREATE TABLE events (height INTEGER NOT NULL, position INTEGER NOT NULL, time INTEGER NOT NULL,"
    " event BLOB NOT NULL, PRIMARY KEY (height, position)) STRICT, WITHOUT ROWID",
    "CREATE TABLE transactions (id TEXT NOT NULL PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID",
)
_MAX_WAL_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class Tip:
    """The newest block that the replica has.

    Attributes:
        height: its number.
        hash: of its header, hexadecimal.
    """

    height: int
    hash: str


@dataclass(frozen=True)
class StoredEvent:
    """An event of a block.

    Attributes:
        id: of the transaction, the protocol's.
        position: of the transaction in the block.
        time: of the transaction, milliseconds since 1970-01-01 UTC.
        event: canonical JSON.
    """

    id: str
    position: int
    time: int
    event: bytes


def open_file(path: Path, *, channel: str, chaincode: str, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a replica for writing; made when it is missing.

    Raises:
        LedgerFileError: the file is something else, or another channel's or chaincode's.
    """
    path.touch()
    connection = connect(path, "rw", busy_timeout_seconds=busy_timeout_seconds)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            message = f"SQLite cannot keep a write-ahead log beside {path}; put it on a local file system"
            raise LedgerFileError("ledger-unwritable", message)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={_MAX_WAL_BYTES}")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            _fill(connection, channel, chaincode)
        _check(connection, path, channel, chaincode)
    except sqlite3.DatabaseError as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise _other(path) from None
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def read_tip(connection: sqlite3.Connection) -> Tip | None:
    """The newest block; None when there is none yet."""
    row = connection.execute("SELECT height, hash FROM blocks ORDER BY height DESC LIMIT 1").fetchone()
    return None if row is None else Tip(int(row[0]), str(row[1]))


def insert_block(
    connection: sqlite3.Connection,
    tip: Tip,
    *,
    changes: Iterable[tuple[str, bytes | None]],
    events: Iterable[StoredEvent],
) -> None:
    """Write what a block brought; the caller begins and commits.

    Args:
        connection: within a transaction.
        tip: the block.
        changes: keys and their values, in order; None takes a key away.
        events: of its transactions.
    """
    for key, value in changes:
        # As the peers do. That nothing is ever overwritten is the chaincode's rule, and verified elsewhere.
        if value is None:
            connection.execute("DELETE FROM state WHERE key = ?", (key,))
        else:
            connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))
    for event in events:
        row = (tip.height, event.position, event.time, event.event)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)
        place = (event.id, tip.height, event.position)
        connection.execute("INSERT OR IGNORE INTO transactions VALUES (?, ?, ?)", place)
    connection.execute("INSERT INTO blocks VALUES (?, ?)", (tip.height, tip.hash))


def _fill(connection: sqlite3.Connection, channel: str, chaincode: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO origin VALUES (?, ?)", (channel, chaincode))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path, channel: str, chaincode: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise _other(path)
    if version != FORMAT_VERSION:
        message = f"{path} has format {version}, this version of Consilo reads {FORMAT_VERSION}"
        raise LedgerFileError("ledger-format", f"{message}: remove it, it is built anew from the peer's blocks")
    origin = connection.execute("SELECT channel, chaincode FROM origin").fetchone()
    if origin != (channel, chaincode):
        message = f"{path} is the replica of chaincode {origin[1]} on channel {origin[0]}, not of {chaincode}"
        message = f"{message} on {channel}: name another file, or remove it to have it built anew"
        raise LedgerFileError("ledger-format", message)


def _other(path: Path) -> LedgerFileError:
    return LedgerFileError(
        "ledger-format", f"{path} is no replica of a Fabric ledger, but something else: name another file"
    )
