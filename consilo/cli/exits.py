"""The exit codes of `consilo`, and its own error. Pure; no I/O."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
"""Refused or failed."""
USAGE: Final = 2
FOUND: Final = 3
"""A verification found something wrong, or a ledger lost blocks that it showed before."""
UNAVAILABLE: Final = 4
"""A gateway, a store or a disk is away: the same command may succeed later."""
INTERRUPTED: Final = 130


class CliError(Exception):
    """What a command tells before it exits.

    Attributes:
        code: stable, for programs.
        message: a sentence without its full stop: what was wrong and what to do.
        exit_code: one of this module's.
        details: lines that help to find the cause.
    """

    def __init__(self, code: str, message: str, *, exit_code: int = FAILED, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code
        self.details = details
