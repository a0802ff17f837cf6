"""The blocks of a real network, recorded: our reading of Fabric held against Fabric's own."""

from __future__ import annotations

import pytest
from fabric_protos.common import common_pb2

from consilo.fabric.blocks import decode_block
from consilo.verification.fabric import FabricReplay
from tests.unit.verification.recorded import read_blocks
from tests.unit.verification.whole_channels import (
    CODES,
    check_blocks_that_are_altered,
    check_every_code_that_is_turned_round,
    check_every_orderer_s_signature,
)


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    return read_blocks()


def test_what_a_real_peer_decided_is_found_right(blocks: list[bytes]) -> None:
    replay = FabricReplay().run(blocks)
    assert replay.findings == []
    last = decode_block(blocks[-1])
    assert replay.marks[last.number].commit_hash == last.commit_hash is not None


def test_about_everything_has_happened_on_it(blocks: list[bytes]) -> None:
    transactions = [each for block in blocks for each in decode_block(block).transactions]
    assert {each.code for each in transactions} >= {
        CODES.VALID,
        CODES.DUPLICATE_TXID,
        CODES.ENDORSEMENT_POLICY_FAILURE,
        CODES.MVCC_READ_CONFLICT,
        CODES.PHANTOM_READ_CONFLICT,
    }
    assert sum(each.type == common_pb2.CONFIG for each in transactions) > 1
    called = {(each.chaincode, bytes(each.arguments[0])) for each in transactions if each.chaincode}
    assert called >= {
        ("_lifecycle", b"ApproveChaincodeDefinitionForMyOrg"),
        ("_lifecycle", b"CommitChaincodeDefinition"),
        ("consilo", b"submit"),
        ("consilo", b"query"),
    }


def test_every_code_that_is_turned_round_is_found(blocks: list[bytes]) -> None:
    check_every_code_that_is_turned_round(blocks)


def test_blocks_that_are_altered_or_left_out_are_found(blocks: list[bytes]) -> None:
    check_blocks_that_are_altered(blocks)


def test_every_orderer_s_signature_is_looked_at(blocks: list[bytes]) -> None:
    check_every_orderer_s_signature(blocks)
