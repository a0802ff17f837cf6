"""The ledger service under a wall clock that jumps: by as many seconds as the file $CLOCK_OFFSET_FILE says now.

The monotonic clock goes on as it does, as it would on a machine whose time is set.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from consilo.hosting.start import run_service
from services.ledger.__main__ import serve
from services.ledger.settings import LedgerSettings


def let_the_clock_jump(file: Path) -> None:
    """Replace what tells this process the time; everything of Consilo asks it by these names."""
    real = time.time_ns

    def time_ns() -> int:
        return real() + int(file.read_text()) * 1_000_000_000

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "__main__":
    let_the_clock_jump(Path(os.environ["CLOCK_OFFSET_FILE"]))
    sys.exit(run_service(LedgerSettings, serve))
