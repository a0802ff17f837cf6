"""The ledger service of an organisation that lies, in one of these ways, named by $LIE.

- `altered`: it hands in the updates of its members with other metadata.
- `flag`: it shows blocks in which no update counts.
- `dropped`: it shows blocks without their updates.
- `state`: it shows blocks after which its peer has another state.
- `clock`: whatever peers see of its clock is off by as many seconds as the file $CLOCK_OFFSET_FILE says now.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from consilo.api.gateway import now_ms
from consilo.fabric.blocks import FabricBlock, decode_block
from consilo.fabric.lines import decode_line, encode_line
from consilo.hosting.start import run_service
from consilo.protocol.transaction import Transaction
from services.ledger.__main__ import serve
from services.ledger.fabric import delivery, opening
from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.port import Commit
from services.ledger.settings import LedgerSettings
from tests.forgeries import tampered

SAMPLES: Final = 99


def with_other_flags(block: FabricBlock) -> None:
    """No update of the block counts."""
    codes = bytearray(block.raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER])
    for index in _updates_in(block):
        codes[index] = transaction_pb2.MVCC_READ_CONFLICT
    block.raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes(codes)


def without_updates(block: FabricBlock) -> None:
    """No update of the block is there."""
    codes = bytearray(block.raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER])
    for index in reversed(_updates_in(block)):
        del block.raw.data.data[index]
        del codes[index]
    block.raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes(codes)


def with_other_state(block: FabricBlock) -> None:
    """The peer has come to another state."""
    if block.commit_hash is not None:
        other = common_pb2.Metadata(value=bytes(32)).SerializeToString()
        block.raw.metadata.metadata[common_pb2.COMMIT_HASH] = other


def _updates_in(block: FabricBlock) -> list[int]:
    submitted = [each for each in block.transactions if each.valid and each.arguments[:1] == (b"submit",)]
    types = {each.index: Transaction.decode(each.arguments[1]).payload.type for each in submitted}
    return [index for index, type_ in types.items() if type_ == "publish_update"]


LIES: Final[dict[str, Callable[[FabricBlock], None]]] = {
    "flag": with_other_flags,
    "dropped": without_updates,
    "state": with_other_state,
}


def false_clock() -> int:
    """The clock of a gateway that lies about the time, milliseconds since 1970-01-01 UTC."""
    return now_ms() + int(Path(os.environ["CLOCK_OFFSET_FILE"]).read_text()) * 1000


class FalseAdapter(FabricAdapter):
    """Lies in what it hands in, or in the blocks that it shows."""

    def __init__(self, *arguments: Any, clock: Callable[[], int]) -> None:
        super().__init__(*arguments, clock=false_clock if os.environ["LIE"] == "clock" else clock)

    async def submit(self, transaction: Transaction) -> Commit:
        if os.environ["LIE"] == "altered" and transaction.payload.type == "publish_update":
            transaction = tampered(transaction, num_samples=SAMPLES)
        return await super().submit(transaction)

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        lines = await super().blocks(start, limit)
        lie = LIES.get(os.environ["LIE"])
        return lines if lie is None else [_told(line, lie) for line in lines]


def _told(line: bytes, lie: Callable[[FabricBlock], None]) -> bytes:
    block = decode_block(decode_line(line))
    lie(block)
    data: bytes = block.raw.SerializeToString()
    return encode_line(data)


if __name__ == "__main__":
    if os.environ["LIE"] == "clock":
        # Not `time.time`, as tests.faults.jumping_ledger has it: gRPC makes its deadlines from that.
        vars(delivery)["now_ms"] = false_clock
    vars(opening)["FabricAdapter"] = FalseAdapter
    sys.exit(run_service(LedgerSettings, serve))
