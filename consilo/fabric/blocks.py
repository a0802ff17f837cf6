"""The form of a Fabric channel's blocks. Pure; no I/O.

A block is a serialised `common.Block`: a header (number, hash of the header before, hash of the data), the data (one
envelope for each transaction), and metadata that the header's hash does not cover: the orderers' signatures, the code
that the peer gave each transaction, and the commit hash of the peer's state. So whoever keeps a block can alter its
codes unseen, and a verifier works them out again.

Decoding checks that all can be read, not that it is right; a transaction that the peer called invalid need not even be
readable, since anybody who may write to the channel can put any bytes there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.errors import FabricBlockError
from consilo.fabric.lines import decode_line, encode_line
from consilo.fabric.transactions import NOT_VALIDATED, VALID, Endorsement, FabricTransaction, decode_transaction

MAX_NUMBER: Final = 2**53 - 1
"""No block has a higher number: a larger integer has no canonical form."""


@dataclass(frozen=True)
class FabricBlock:
    """One block, decoded.

    Attributes:
        number: height of the block; the channel's genesis has 0.
        previous: hash of the block before, hexadecimal; empty for the genesis.
        data_hash: hash of the data as the header says, hexadecimal.
        hash: SHA-256 of the header in ASN.1 DER, hexadecimal.
        commit_hash: of the peer's state after this block, hexadecimal; None where the peer keeps none (block 0).
        transactions: in order.
        raw: the block itself, for what only a verification looks at.
    """

    number: int
    previous: str
    data_hash: str
    hash: str
    commit_hash: str | None
    transactions: tuple[FabricTransaction, ...]
    raw: common_pb2.Block = field(repr=False, compare=False)


def decode_block(data: bytes) -> FabricBlock:
    """Read a serialised `common.Block`.

    Raises:
        FabricBlockError: `malformed`: it is none, or a transaction that the peer called valid cannot be read.
    """
    try:
        raw = common_pb2.Block.FromString(data)
        if raw.header.number > MAX_NUMBER:
            raise FabricBlockError("malformed", f"a block with number {raw.header.number}")
        codes = _codes(raw)
        commit_hash = common_pb2.Metadata.FromString(metadata(raw, common_pb2.COMMIT_HASH)).value
    except DecodeError as error:
        raise FabricBlockError("malformed", f"not a block of a Fabric channel: {error}") from None
    return FabricBlock(
        number=raw.header.number,
        previous=raw.header.previous_hash.hex(),
        data_hash=raw.header.data_hash.hex(),
        hash=hashlib.sha256(header_bytes(raw.header)).hexdigest(),
        commit_hash=commit_hash.hex() or None,
        transactions=tuple(
            decode_transaction(envelope, index, codes[index]) for index, envelope in enumerate(raw.data.data)
        ),
        raw=raw,
    )


def header_bytes(header: common_pb2.BlockHeader) -> bytes:
    """The header in ASN.1 DER: what its hash and the orderers' signatures cover."""
    number = header.number.to_bytes(header.number.bit_length() // 8 + 1, "big")  # with room for the sign
    return _der(0x30, _der(0x02, number) + _der(0x04, header.previous_hash) + _der(0x04, header.data_hash))


def data_hash(raw: common_pb2.Block) -> str:
    """SHA-256 of the block's data, hexadecimal.

    Fabric joins the envelopes without marking where one ends: where each begins, only their form tells.
    """
    return hashlib.sha256(b"".join(raw.data.data)).hexdigest()


def metadata(raw: common_pb2.Block, index: int) -> bytes:
    """One of the block's metadata (`common.BlockMetadataIndex`); empty where there is none."""
    found: bytes = raw.metadata.metadata[index] if index < len(raw.metadata.metadata) else b""
    return found


def _codes(raw: common_pb2.Block) -> bytes:
    """The peer's code for each transaction; an orderer's blocks have none."""
    codes = metadata(raw, common_pb2.TRANSACTIONS_FILTER)
    count = len(raw.data.data)
    if not codes:
        return bytes([NOT_VALIDATED]) * count
    if len(codes) != count:
        raise FabricBlockError("malformed", f"a block with {count} transactions has codes for {len(codes)}")
    return codes


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


__all__ = [
    "NOT_VALIDATED",
    "VALID",
    "Endorsement",
    "FabricBlock",
    "FabricBlockError",
    "FabricTransaction",
    "data_hash",
    "decode_block",
    "decode_line",
    "encode_line",
    "header_bytes",
    "metadata",
]
