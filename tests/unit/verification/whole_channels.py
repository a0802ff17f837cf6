"""Every lie that can be told about each block of a channel, one after the other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from consilo.fabric.blocks import decode_block
from consilo.verification.fabric import FabricReplay
from tests.fabric_blocks import changed

CODES = transaction_pb2.TxValidationCode


def check_every_code_that_is_turned_round(blocks: Sequence[bytes]) -> None:
    """Each transaction's code, turned from valid to invalid or back, is found."""
    for number, block in enumerate(blocks[1:], 1):
        for index, transaction in enumerate(decode_block(block).transactions):
            lie = CODES.MVCC_READ_CONFLICT if transaction.valid else CODES.VALID
            assert first_bad([*blocks[:number], changed(block, _turning(index, lie))]) == number, f"{number}.{index}"


def check_blocks_that_are_altered(blocks: Sequence[bytes]) -> None:
    """Every third block that is altered, or left out, is found."""
    for number in range(1, len(blocks), 3):
        assert first_bad([*blocks[:number], changed(blocks[number], _alter)]) == number
        if number + 1 < len(blocks):
            assert first_bad([*blocks[:number], blocks[number + 1]]) == number


def check_every_orderer_s_signature(blocks: Sequence[bytes]) -> None:
    """Each block under the signatures of another block, which orderers did make, is found."""
    for number in range(1, len(blocks)):
        other = common_pb2.Block.FromString(blocks[number - 1 or 2]).metadata.metadata[common_pb2.SIGNATURES]
        replay = FabricReplay().run([*blocks[:number], changed(blocks[number], _putting(common_pb2.SIGNATURES, other))])
        assert (replay.findings[0].step, replay.findings[0].block) == ("orderer", number)


def first_bad(blocks: Sequence[bytes]) -> int | None:
    """The first bad block."""
    findings = FabricReplay().run(blocks).findings
    return findings[0].block if findings else None


def _turning(index: int, code: int) -> Callable[[Any], None]:
    def turn(raw: Any) -> None:
        codes = bytearray(raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER])
        codes[index] = code
        raw.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes(codes)

    return turn


def _putting(index: int, data: bytes) -> Callable[[Any], None]:
    def put(raw: Any) -> None:
        raw.metadata.metadata[index] = data

    return put


def _alter(raw: Any) -> None:
    data = bytearray(raw.data.data[0])
    data[len(data) // 3] ^= 4
    raw.data.data[0] = bytes(data)
