"""The ledger service of an organisation that lies about what its peer decided, as $LIE says.

`code`: the newest transaction that counts, and changes something, is shown as one that does not. `commit-hash`: the
newest block is shown with another commit hash. The rest is the service itself.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from consilo.fabric.blocks import decode_block, decode_line, encode_line
from consilo.hosting.start import run_service
from services.ledger.__main__ import serve
from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.settings import LedgerSettings
from tests.fabric_blocks import changed

LIES = "LIE"


def lie(block: bytes) -> bytes:
    """The block as it is shown."""

    def code(raw: Any) -> None:
        raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes([transaction_pb2.MVCC_READ_CONFLICT])

    def commit_hash(raw: Any) -> None:
        raw.metadata.metadata[common_pb2.COMMIT_HASH] = common_pb2.Metadata(value=bytes(32)).SerializeToString()

    if os.environ[LIES] == "commit-hash":
        return changed(block, commit_hash)
    transactions = decode_block(block).transactions
    return changed(block, code) if len(transactions) == 1 and transactions[0].writes else block


class LyingAdapter(FabricAdapter):
    """Lies about the newest block that there is something to lie about."""

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        lines = await super().blocks(start, limit)
        for index in range(len(lines) - 1, -1, -1):
            block = decode_line(lines[index])
            if (lied := lie(block)) != block:
                lines[index] = encode_line(lied)
                break
        return lines


if __name__ == "__main__":
    import services.ledger.fabric.opening

    services.ledger.fabric.opening.FabricAdapter = LyingAdapter  # type: ignore[attr-defined]
    sys.exit(run_service(LedgerSettings, serve))
