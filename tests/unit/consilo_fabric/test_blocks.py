"""Decoding of blocks, honest and not. Generates keys."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from consilo.fabric.blocks import FabricBlockError, data_hash, decode_block, decode_line, encode_line, header_bytes
from consilo.fabric.receipts import Receipt, RefusalText
from consilo.fabric.transactions import CONFIG, ENDORSER_TRANSACTION, milliseconds
from consilo.protocol.refusals import InvalidInput
from tests.fabric_blocks import FabricChannel, changed
from tests.unit.verification.fabric_ledgers import Ledger, admitted


def test_a_block_says_who_asked_what_and_what_came_of_it() -> None:
    ledger = Ledger(taken=1)
    block = decode_block(ledger.channel.blocks[-1])
    before = decode_block(ledger.channel.blocks[-2])
    (transaction,) = block.transactions
    coming = admitted()[0]

    assert (block.number, block.previous, block.data_hash) == (2, before.hash, data_hash(block.raw))
    assert (transaction.index, transaction.type, transaction.code) == (0, ENDORSER_TRANSACTION, 0)
    assert transaction.valid
    assert (transaction.channel, transaction.chaincode, transaction.time) == ("test", "consilo", coming.time)
    assert transaction.arguments == (b"submit", coming.transaction.encode())
    assert transaction.creator_msp == "HospitalA"
    assert transaction.creator_certificate.startswith(b"-----BEGIN CERTIFICATE")
    assert transaction.writes == ledger.channel.state.records
    assert transaction.deletes == ()
    assert Receipt.decode(transaction.response) == Receipt(
        transaction=coming.transaction.id, time=coming.time, repeated=False
    )
    assert transaction.event_name == "consilo"
    assert [endorsement.msp for endorsement in transaction.endorsements] == ["HospitalA", "HospitalB"]


def test_the_genesis_is_a_configuration_that_nothing_precedes() -> None:
    genesis = decode_block(FabricChannel().blocks[0])
    assert (genesis.number, genesis.previous, genesis.commit_hash) == (0, "", None)
    assert [(each.type, each.channel, each.chaincode) for each in genesis.transactions] == [(CONFIG, "test", None)]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 2**31, 2**53 - 1])
def test_the_header_is_hashed_in_der(number: int) -> None:
    header = common_pb2.BlockHeader(number=number, previous_hash=b"p" * 32, data_hash=b"d" * 200)
    data = header_bytes(header)
    length = len(data) - 3
    assert data[:3] == bytes([0x30, 0x81, length])
    assert data[3] == 0x02
    assert int.from_bytes(data[5 : 5 + data[4]], "big", signed=True) == number
    assert data[5] & 0x80 == 0
    rest = data[5 + data[4] :]
    assert rest == b"\x04\x20" + b"p" * 32 + b"\x04\x81\xc8" + b"d" * 200


def test_blocks_of_an_orderer_have_no_codes() -> None:
    def strip(block: Any) -> None:
        block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = b""

    block = decode_block(changed(Ledger(taken=1).channel.blocks[-1], strip))
    assert [(each.code, each.valid) for each in block.transactions] == [(254, False)]


@pytest.mark.parametrize("data", [b"", b"\x0a", b"no block", b"\xff" * 100], ids=["empty", "cut", "text", "noise"])
def test_what_is_no_block_is_refused(data: bytes) -> None:
    if data:
        with pytest.raises(FabricBlockError, match="not a block"):
            decode_block(data)
    else:  # nothing at all is a message of protobuf, with nothing in it
        assert decode_block(data).transactions == ()


@given(st.binary(max_size=300), st.integers(1, 255))
def test_an_invalid_transaction_may_be_anything_and_a_valid_one_may_not(envelope: bytes, code: int) -> None:
    block = common_pb2.Block(data=common_pb2.BlockData(data=[envelope]))
    block.metadata.metadata.extend([b"", b"", bytes([code])])
    (transaction,) = decode_block(block.SerializeToString()).transactions
    assert transaction.envelope == envelope
    block.metadata.metadata[2] = b"\0"
    if transaction.malformed is not None:
        with pytest.raises(FabricBlockError, match="transaction 0 is called valid and cannot be read"):
            decode_block(block.SerializeToString())


def test_numbers_that_have_no_canonical_form_are_refused() -> None:
    with pytest.raises(FabricBlockError, match="number"):
        decode_block(changed(FabricChannel().blocks[0], lambda block: setattr(block.header, "number", 2**53)))


def test_a_write_of_nothing_takes_the_key_away() -> None:
    def change(writes: Any) -> None:
        writes.writes.add(key="b", is_delete=True)
        writes.writes.add(key="a")

    ledger = Ledger()
    ledger.channel.add(ledger.next().with_writes(change), codes=[10])
    (transaction,) = decode_block(ledger.channel.blocks[-1]).transactions
    assert transaction.deletes == ("b", "a")
    assert not {"a", "b"} & transaction.writes.keys()


def test_lines_carry_blocks_unchanged() -> None:
    data = hashlib.sha256(b"").digest()
    line = encode_line(data)
    assert line == b'"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="'
    assert decode_line(line) == data


@pytest.mark.parametrize("line", [b"", b'"', b"{}", b"AAAA", b'"AAA"', b'"A AA"', b'"A\nAA"', b"'AAAA'"])
def test_lines_that_carry_no_block_are_refused(line: bytes) -> None:
    with pytest.raises(FabricBlockError, match="must come"):
        decode_line(line)


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"), [(0, 0, 0), (1, 999_999, 1000), (1, 1_000_000, 1001), (-1, 999_999_999, -1)]
)
def test_time_is_in_whole_milliseconds_rounded_down(seconds: int, nanos: int, expected: int) -> None:
    assert milliseconds(Timestamp(seconds=seconds, nanos=nanos)) == expected


def test_refusals_are_strict() -> None:
    text = RefusalText(code="clock-differs", message="set the clock", retryable=True)
    assert RefusalText.decode(text.encode()) == text
    for wrong in (b"{}", b'{"code":"A","message":"","retryable":true}', b'{"code":"a","message":"","retryable":1}'):
        with pytest.raises(InvalidInput):
            RefusalText.decode(wrong)
