"""The errors of this package, and what an error of SQLite or the operating system means. Pure; no I/O.

EmbeddedLedgerError
|- LedgerFileError     a file that cannot be used as a ledger, or not now
|- LedgerCorrupt       a file that contradicts itself
|- LedgerUnavailable   the disk does not do its part now; whether the request was written is not known: repeat it
|- LedgerOverloaded    more requests wait than the settings allow
|- PositionUnknown     a position that the ledger has not reached: it was rolled back, or is another one
|- LedgerClosed        the ledger, or the snapshot, is not open any more
'- LedgerDefect        the state machine failed in a way that it must not

A transaction that the rules do not admit is a `consilo.protocol.refusals.Refusal`, and none of these.
"""

from __future__ import annotations

import errno
import sqlite3


class EmbeddedLedgerError(Exception):
    """Root of the errors of `consilo.embedded`.

    Attributes:
        code: stable, for programs.
        message: what was wrong and what to do, for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class LedgerFileError(EmbeddedLedgerError):
    """`code` is `ledger-exists`, `ledger-missing`, `ledger-locked`, `ledger-format` or `ledger-unwritable`."""


class LedgerCorrupt(EmbeddedLedgerError):
    """`code` is `ledger-corrupt`.

    Attributes:
        block: height of the first block that is known to be wrong, or None.
    """

    def __init__(self, message: str, block: int | None = None) -> None:
        super().__init__("ledger-corrupt", message)
        self.block = block


class LedgerUnavailable(EmbeddedLedgerError):
    """`code` is `ledger-unavailable` or `ledger-full`. The same request can be sent again; it is applied once."""


class LedgerOverloaded(EmbeddedLedgerError):
    """`code` is `ledger-overloaded`. Nothing was done; wait before the next attempt."""

    def __init__(self, message: str) -> None:
        super().__init__("ledger-overloaded", message)


class PositionUnknown(EmbeddedLedgerError):
    """`code` is `position-unknown`."""

    def __init__(self, message: str) -> None:
        super().__init__("position-unknown", message)


class LedgerClosed(EmbeddedLedgerError):
    """`code` is `ledger-closed`."""

    def __init__(self, message: str) -> None:
        super().__init__("ledger-closed", message)


class LedgerDefect(EmbeddedLedgerError):
    """`code` is `ledger-defect`. Nothing was written; the log has the details."""

    def __init__(self, message: str) -> None:
        super().__init__("ledger-defect", message)


def translated(error: sqlite3.Error | OSError) -> EmbeddedLedgerError:
    """What an error of SQLite or the operating system means to whoever uses the ledger."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = error.strerror or type(error).__name__
    else:
        # The primary result code is the low byte of the extended one. Errors of the module itself have none.
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return LedgerCorrupt(f"the ledger's file is damaged ({error}); restore a backup, then verify it")
        full = primary == sqlite3.SQLITE_FULL
        reason = f"{error}, {getattr(error, 'sqlite_errorname', 'no code')}"
    if full:
        return LedgerUnavailable("ledger-full", "the ledger's disk is full; make room and send the same request again")
    message = f"the ledger's disk does not answer as it should ({reason}); send the same request again"
    return LedgerUnavailable("ledger-unavailable", message)
