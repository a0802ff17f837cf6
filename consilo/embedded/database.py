"""The SQLite file of a ledger: its tables, how it is made and opened, how a block is written into it. Does file I/O.

    blocks   height, hash, body      the chain; everything else follows from it
    state    key, value, height      what the blocks' transactions wrote, and in which block
    entries  id, height, position    where each transaction stands

Write-ahead log with `synchronous=FULL`: a commit that returned survives a power cut. All functions raise
`sqlite3.Error` or `OSError` as they come; callers translate them (`consilo.embedded.errors.translated`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal

from consilo.embedded.blocks import Genesis
from consilo.embedded.errors import LedgerCorrupt, LedgerFileError
from consilo.protocol.canonical import digest

FORMAT_VERSION: Final = 1
APPLICATION_ID: Final = 0x436F4C31  # "CoL1"

_SCHEMA: Final = (
    "CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash TEXT NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY COLLATE BINARY, value BLOB NOT NULL, height INTEGER NOT NULL)"
    " STRICT",
    "CREATE TABLE entries (id TEXT NOT NULL PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL) STRICT",
)
_MAX_WAL_BYTES: Final = 64 * 2**20


def create_file(path: Path, genesis: Genesis) -> str:
    """Make a ledger with nothing but its genesis; complete or not at all.

    Returns:
        The hash of the genesis.

    Raises:
        LedgerFileError: `ledger-exists`.
    """
    body = genesis.encode()

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO blocks VALUES (0, ?, ?)", (digest(body), body))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        connection.execute("COMMIT")

    _publish(path, fill)
    return digest(body)


def back_up(source: sqlite3.Connection, path: Path) -> None:
    """Copy a ledger as it is now into a new file without a write-ahead log, by SQLite's online backup.

    Raises:
        LedgerFileError: `ledger-exists`.
    """

    def fill(connection: sqlite3.Connection) -> None:
        source.backup(connection)
        connection.execute("PRAGMA journal_mode=DELETE")

    _publish(path, fill)


def connect(path: Path, mode: Literal["rw", "ro", "immutable"], *, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open an existing file. The connection may be handed from thread to thread, and begins no transaction by itself.

    Nothing in the file is trusted to be harmless: no function or view of its schema runs.
    """
    query = {"rw": "mode=rw", "ro": "mode=ro", "immutable": "mode=ro&immutable=1"}[mode]
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{query}",
        uri=True,
        timeout=busy_timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        if mode != "rw":
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare_writing(connection: sqlite3.Connection) -> None:
    """Set what makes commits durable.

    Raises:
        LedgerFileError: `ledger-unwritable`, when the file system has no shared memory for the write-ahead log.
    """
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        message = "SQLite cannot keep a write-ahead log here; put the ledger on a local file system"
        raise LedgerFileError("ledger-unwritable", message)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute(f"PRAGMA journal_size_limit={_MAX_WAL_BYTES}")


def check_format(connection: sqlite3.Connection) -> None:
    """Check that the file is a ledger of this version, with exactly its tables.

    Raises:
        LedgerFileError: `ledger-format`.
        LedgerCorrupt: the tables are others: a view or trigger could answer instead of them.
    """
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise LedgerFileError("ledger-format", "the file is no ledger: not an SQLite database") from None
        raise
    if application != APPLICATION_ID:
        raise LedgerFileError("ledger-format", "the file is no ledger: an SQLite database of something else")
    if version != FORMAT_VERSION:
        message = f"the ledger's file has format {version}; this version of Consilo reads format {FORMAT_VERSION}"
        raise LedgerFileError("ledger-format", message)
    reference = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in _SCHEMA:
            reference.execute(statement)
        same = _schema_of(connection) == _schema_of(reference)
    finally:
        reference.close()
    if not same:
        raise LedgerCorrupt("the file's tables, indexes, views or triggers are not those of a ledger")


def insert_block(
    connection: sqlite3.Connection,
    height: int,
    hash_: str,
    body: bytes,
    writes: Iterable[tuple[str, bytes]],
    transactions: Iterable[str],
) -> None:
    """Write a block, what it wrote, and where its transactions stand; the caller begins and commits.

    Args:
        connection: within a transaction.
        height: of the block.
        hash_: of the block.
        body: the block's bytes.
        writes: keys and values, all new.
        transactions: ids, in order.
    """
    connection.execute("INSERT INTO blocks VALUES (?, ?, ?)", (height, hash_, body))
    connection.executemany("INSERT INTO state VALUES (?, ?, ?)", ((key, value, height) for key, value in writes))
    rows = ((id_, height, index) for index, id_ in enumerate(transactions))
    connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)


def _schema_of(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def _publish(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make a database beside the path and give it its name when it is complete and on the disk."""
    if path.exists():
        raise LedgerFileError("ledger-exists", f"{path} exists; nothing is overwritten")
    unfinished = path.with_name(f".{path.name}.{os.urandom(8).hex()}.unfinished")
    try:
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            fill(connection)
        finally:
            connection.close()
        _flush(unfinished)
        try:
            # A link, not a rename: it fails if another process was first.
            path.hardlink_to(unfinished)
        except FileExistsError:
            raise LedgerFileError("ledger-exists", f"{path} exists; nothing is overwritten") from None
    finally:
        unfinished.unlink(missing_ok=True)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
