"""The lock that lets one process at a time write a ledger. Makes a file beside the ledger and never removes it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from consilo.embedded.errors import LedgerFileError


class WriteLock:
    """Held from construction until `release`, or until the process ends, however it ends.

    The file `<ledger>.lock` stays: removing it would let two processes hold locks on two files of that name.

    Raises:
        LedgerFileError: `ledger-locked`: another process (or this one) has the ledger open for writing.
        OSError: the lock's file cannot be made.
    """

    def __init__(self, ledger: Path) -> None:
        self._descriptor = os.open(f"{ledger}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            message = f"{ledger} is open for writing already; stop the ledger service that uses it, or ask that service"
            raise LedgerFileError("ledger-locked", message) from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let others write; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
