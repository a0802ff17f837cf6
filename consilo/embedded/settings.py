"""The limits of an embedded ledger. Pure; no I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class LedgerSettings:
    """Limits of one open ledger.

    Attributes:
        max_queued_transactions: requests that may wait for the writer; more are refused as `ledger-overloaded`.
        max_block_transactions: transactions committed at once.
        max_block_bytes: bytes of the transactions committed at once.
        max_transaction_bytes: canonical bytes of one transaction.
        max_read_bytes: bytes of blocks returned by one call (at least one block is returned).
        max_idle_readers: connections for reading that are kept open when nobody reads.
        busy_timeout_seconds: how long to wait for SQLite's own locks, held for moments only.

    Raises:
        ValueError: a limit is not positive, or a transaction may be larger than a block.
    """

    max_queued_transactions: int = 1024
    max_block_transactions: int = 128
    max_block_bytes: int = 8 * 2**20
    max_transaction_bytes: int = 4 * 2**20
    max_read_bytes: int = 16 * 2**20
    max_idle_readers: int = 8
    busy_timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        if self.max_transaction_bytes > self.max_block_bytes:
            raise ValueError("max_transaction_bytes may be at most max_block_bytes")


def wall_clock() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000
