"""The replay of a ledger on Fabric: that an honest one holds, and that every lie is found, and named. Generates keys.

The attacker is whoever keeps the blocks (a peer, a gateway), who can write nothing that is signed. Those who can are in
`test_fabric_endorsements`, `test_fabric_outcomes` and `test_fabric_configuration`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from consilo.fabric.blocks import decode_block
from consilo.verification.fabric import FabricReplay
from tests.fabric_blocks import FabricChannel, changed
from tests.fabric_members import organisation
from tests.unit.verification.fabric_ledgers import FIRST, Ledger, admitted, first, replayed

CODES = transaction_pb2.TxValidationCode


def test_an_honest_ledger_holds() -> None:
    ledger = Ledger().complete()
    found = ledger.replayed()
    assert found.findings == []
    assert found.transactions == len(admitted())
    assert found.state.records == ledger.channel.state.records
    assert found.head is not None
    last = decode_block(ledger.channel.blocks[-1])
    assert (found.head.ledger, found.head.height, found.head.hash) == ("test", last.number, last.hash)
    assert found.marks[last.number].commit_hash == last.commit_hash


def test_several_transactions_of_one_block_hold() -> None:
    ledger = Ledger(taken=3)
    requests = [ledger.channel.endorsed(ledger.revocation(number), time=admitted()[3].time) for number in range(5)]
    ledger.channel.add(*requests)
    assert ledger.replayed().ok
    assert ledger.replayed().transactions == 8


def test_a_request_that_was_there_before_counts_once() -> None:
    ledger = Ledger()
    coming = ledger.coming()
    ledger.channel.add(ledger.channel.endorsed(coming.transaction, time=coming.time))
    ledger.channel.add(ledger.channel.endorsed(coming.transaction, time=coming.time + 5))
    assert ledger.replayed().ok
    assert ledger.replayed().transactions == 1


def test_losers_of_a_race_are_called_conflicts_and_hold() -> None:
    ledger = Ledger()
    coming = ledger.coming()
    racing = [ledger.channel.endorsed(coming.transaction, time=coming.time) for _ in range(3)]
    ledger.channel.add(*racing[:2], codes=[CODES.VALID, CODES.MVCC_READ_CONFLICT])
    ledger.channel.add(racing[2], codes=[CODES.MVCC_READ_CONFLICT])
    assert ledger.replayed().ok


def test_queries_and_other_chaincodes_calls_hold() -> None:
    ledger = Ledger(taken=3)
    ledger.channel.add(ledger.channel.called("consilo", (b"query", b"organisations", b"{}"), {}))
    ledger.channel.add(ledger.channel.called("another", (b"do",), {}, endorsers=[], event=b"done"))
    ledger.channel.add(ledger.channel.called("another", (b"do",), {}, endorsers=[]), codes=[10])
    assert ledger.complete().replayed().ok


# Whoever keeps the blocks


def test_a_bit_that_flips_in_a_block_is_found() -> None:
    blocks = Ledger(taken=5).channel.blocks

    def flip(block: Any) -> None:
        envelope = bytearray(block.data.data[0])
        envelope[len(envelope) // 2] ^= 1
        block.data.data[0] = bytes(envelope)

    blocks[4] = changed(blocks[4], flip)
    found = replayed(blocks)
    assert (found.findings[0].block, found.failed_step) == (4, 1)
    assert found.findings[0].step in {"chain", "form"}  # the flipped bit may make it unreadable


def test_a_wrong_hash_of_the_data_is_found() -> None:
    blocks = Ledger(taken=5).channel.blocks
    blocks[4] = changed(blocks[4], lambda block: setattr(block.header, "data_hash", os.urandom(32)))
    assert first(replayed(blocks)) == ("chain", 4, 1)


@pytest.mark.parametrize(
    ("change", "block"),
    [
        (lambda blocks: blocks.pop(3), 3),
        (lambda blocks: blocks.insert(3, blocks[3]), 4),
        (lambda blocks: blocks.__setitem__(slice(3, 5), [blocks[4], blocks[3]]), 3),
        (lambda blocks: blocks.pop(0), 0),
    ],
    ids=["missing", "twice", "swapped", "without-a-genesis"],
)
def test_blocks_that_do_not_follow_each_other_are_found(change: Callable[[list[bytes]], Any], block: int) -> None:
    blocks = list(Ledger(taken=5).channel.blocks)
    change(blocks)
    assert first(replayed(blocks)) == ("chain", block, 1)


def test_a_ledger_that_was_cut_off_is_found_by_whoever_saw_its_head() -> None:
    blocks = Ledger(taken=5).channel.blocks
    seen = replayed(blocks).head
    assert first(FabricReplay(expected_head=seen).run(blocks[:-1])) == ("head", len(blocks) - 1, 1)


def test_another_genesis_is_found_by_whoever_knows_its_hash() -> None:
    ledger, other = Ledger(taken=1), Ledger(taken=1)
    genesis = decode_block(ledger.channel.blocks[0]).hash
    assert FabricReplay(expected_genesis=genesis).run(ledger.channel.blocks).ok
    other.channel = FabricChannel(name="other")
    assert first(FabricReplay(expected_genesis=genesis).run(other.channel.blocks)) == ("chain", 0, 1)


def test_a_valid_transaction_that_is_called_invalid_is_found() -> None:
    for code in (CODES.MVCC_READ_CONFLICT, CODES.ENDORSEMENT_POLICY_FAILURE, CODES.BAD_PAYLOAD, CODES.NOT_VALIDATED):
        ledger = Ledger(taken=2)
        ledger.channel.add(ledger.next(), codes=[code])
        found = ledger.replayed()
        assert first(found) == ("flag", FIRST + 2, 3)
        assert f"is called {CODES.Name(code)}, and nothing is wrong with it" in found.findings[0].message


def test_an_invalid_transaction_under_the_wrong_name_is_found() -> None:
    ledger = Ledger(taken=2)
    lonely = ledger.next()
    lonely.endorsers = lonely.endorsers[:1]
    ledger.channel.add(lonely.endorse(), codes=[CODES.MVCC_READ_CONFLICT])
    assert first(ledger.replayed()) == ("flag", FIRST + 2, 3)


def test_a_peer_s_own_commit_hash_must_follow() -> None:
    blocks = Ledger(taken=3).channel.blocks

    def change(block: Any) -> None:
        block.metadata.metadata[common_pb2.COMMIT_HASH] = common_pb2.Metadata(value=bytes(32)).SerializeToString()

    blocks[3] = changed(blocks[3], change)
    assert first(replayed(blocks)) == ("commit-hash", 3, 3)


def test_codes_for_another_number_of_transactions_are_no_block() -> None:
    blocks = Ledger(taken=3).channel.blocks
    blocks[3] = changed(blocks[3], lambda block: block.metadata.metadata.__setitem__(2, b"\0\0"))
    assert first(replayed(blocks)) == ("form", 3, 1)


def test_a_block_without_an_orderer_s_signature_is_found() -> None:
    blocks = Ledger(taken=3).channel.blocks
    blocks[3] = changed(blocks[3], lambda block: block.metadata.metadata.__setitem__(0, b""))
    assert first(replayed(blocks)) == ("orderer", 3, 1)


def test_a_block_by_somebody_who_is_no_orderer_is_found() -> None:
    ledger = Ledger(taken=3)
    ledger.channel.add(ledger.next(), signer=organisation("HospitalA").peer)
    assert first(ledger.replayed()) == ("orderer", FIRST + 3, 1)


@pytest.mark.parametrize("split", [False, True])
def test_envelopes_joined_or_split_under_the_same_hash_are_found(*, split: bool) -> None:
    ledger = Ledger(taken=3)
    requests = [ledger.channel.endorsed(ledger.revocation(number), time=admitted()[3].time) for number in range(2)]
    ledger.channel.add(*requests)

    def join(block: Any) -> None:
        block.data.data[:] = [b"".join(block.data.data)]
        block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = b"\0"

    def divide(block: Any) -> None:
        envelope = common_pb2.Envelope.FromString(block.data.data[0])
        first_part = common_pb2.Envelope(payload=envelope.payload).SerializeToString()
        second_part = common_pb2.Envelope(signature=envelope.signature).SerializeToString()
        block.data.data[:1] = [first_part, second_part]
        block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes([CODES.BAD_PAYLOAD, CODES.BAD_PAYLOAD, 0])

    blocks = ledger.channel.blocks
    blocks[-1] = changed(blocks[-1], divide if split else join)
    assert first(replayed(blocks)) == ("form", FIRST + 3, 1)
