"""The replay of a ledger on Fabric, against creators and endorsers that lie: honest orderers order their transactions
like any other, and a peer calls them valid. Generates keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset.kv_rwset_pb2 import HashedRWSet, KVRWSet, KVWriteHash
from fabric_protos.peer import policy_pb2, transaction_pb2

from tests.fabric_blocks import FabricChannel, changed
from tests.fabric_members import MspRole, organisation, signature_policy
from tests.fabric_requests import Request
from tests.unit.verification.fabric_ledgers import FIRST, Ledger, admitted, first, flipped, in_the_next_block

CODES = transaction_pb2.TxValidationCode


def test_a_bit_that_flips_in_a_write_set_breaks_the_endorsements() -> None:
    assert in_the_next_block(lambda _, request: request.with_writes(flipped)) == ("endorsement", FIRST + 3, 2)


def test_a_forged_endorsement_is_found() -> None:
    def forge(_: Ledger, request: Request) -> Request:
        request.endorsements[1].signature = organisation("HospitalA").peer.sign(b"something else")
        return request

    assert in_the_next_block(forge) == ("endorsement", FIRST + 3, 2)


@pytest.mark.parametrize(
    "endorsers",
    [
        lambda: [],
        lambda: [organisation("HospitalA").peer],
        lambda: [organisation("HospitalA").peer] * 2,
        lambda: [organisation("HospitalA").peer, organisation("HospitalA").issue("peer", "peer-2")],
        lambda: [organisation("HospitalA").peer, organisation("HospitalB").client],
        lambda: [organisation("HospitalA").peer, organisation("HospitalD").peer],
        lambda: [organisation("HospitalA").peer, organisation("HospitalB", "impostor").issue("peer")],
        lambda: [organisation("HospitalA").peer, organisation("HospitalA").issue("peer", msp="HospitalB")],
        lambda: [organisation("HospitalA").peer, organisation("HospitalB").issue("peer", units=("peer", "client"))],
    ],
    ids=[
        "nobody",
        "one",
        "one-twice",
        "two-of-one-organisation",
        "a-client",
        "an-organisation-outside",
        "a-ca-of-the-same-name",
        "a-certificate-under-another-name",
        "a-peer-that-is-a-client-too",
    ],
)
def test_endorsements_that_do_not_suffice_are_found(endorsers: Callable[[], list[Any]]) -> None:
    def endorse(_: Ledger, request: Request) -> Request:
        request.endorsers = endorsers()
        return request.endorse()

    assert in_the_next_block(endorse) == ("endorsement", FIRST + 3, 2)


def test_endorsements_that_do_not_suffice_are_right_to_be_called_so() -> None:
    ledger = Ledger(taken=3)
    lonely = ledger.next()
    lonely.endorsers = lonely.endorsers[:1]
    ledger.channel.add(lonely.endorse(), codes=[CODES.ENDORSEMENT_POLICY_FAILURE])
    assert ledger.replayed().ok


def test_a_definition_with_a_policy_of_its_own_counts() -> None:
    roles = [(msp, MspRole.PEER) for msp in ("HospitalA", "HospitalB", "HospitalC")]
    policy = transaction_policy(signature_policy(3, *roles))
    ledger = Ledger(channel=FabricChannel(policy=policy))
    ledger.channel.add(ledger.next())
    assert first(ledger.replayed()) == ("endorsement", FIRST, 2)

    ledger = Ledger(channel=FabricChannel(policy=policy))
    request = ledger.next()
    request.endorsers = [organisation(msp).peer for msp, _ in roles]
    ledger.channel.add(request.endorse())
    assert ledger.replayed().ok


def test_a_new_definition_counts_from_the_next_block_on() -> None:
    ledger = Ledger(taken=1)
    all_three = transaction_policy(signature_policy(3, *((msp, MspRole.PEER) for msp in ledger.channel.organisations)))
    ledger.channel.add(ledger.channel.defined(all_three, sequence=2))
    request = ledger.next()
    ledger.channel.add(request)
    assert first(ledger.replayed()) == ("endorsement", FIRST + 2, 2)


def test_a_definition_that_no_majority_committed_is_found() -> None:
    ledger = Ledger(taken=1)
    lax = ledger.channel.defined(transaction_policy(signature_policy(1, ("HospitalA", MspRole.PEER))), sequence=2)
    lax.endorsers = [organisation("HospitalA").peer]
    ledger.channel.add(lax.endorse())
    assert first(ledger.replayed()) == ("endorsement", FIRST + 1, 2)


@pytest.mark.parametrize(
    ("whose", "by", "finding"),
    [
        ("HospitalB", "HospitalB", None),
        ("HospitalB", "HospitalA", ("endorsement", FIRST + 1, 2)),
        ("HospitalD", "HospitalA", ("flag", FIRST + 1, 3)),
    ],
)
def test_an_approval_is_a_matter_of_the_organisation_whose_it_is(
    whose: str, by: str, finding: tuple[str, int, int] | None
) -> None:
    ledger = Ledger(taken=1)
    peers = [organisation(by).peer]
    approval = ledger.channel.called("_lifecycle", (b"Approve",), {"_lifecycle": KVRWSet()}, endorsers=peers)

    def approve(action: Any) -> None:
        results = rwset_pb2.TxReadWriteSet.FromString(action.results)
        hashed = HashedRWSet(hashed_writes=[KVWriteHash(key_hash=b"k" * 32, value_hash=b"v" * 32)])
        results.ns_rwset[0].collection_hashed_rwset.add(
            collection_name=f"_implicit_org_{whose}", hashed_rwset=hashed.SerializeToString()
        )
        action.results = results.SerializeToString()

    ledger.channel.add(approval.changed(approve, endorsed_again=True))
    replay = ledger.replayed()
    assert (first(replay) if replay.findings else None) == finding


def test_a_signature_that_is_not_the_creator_s_is_found() -> None:
    def other(_: Ledger, request: Request) -> bytes:
        envelope = common_pb2.Envelope.FromString(request.envelope())
        envelope.signature = organisation("HospitalC").client.sign(envelope.payload)
        return bytes(envelope.SerializeToString())

    assert in_the_next_block(other) == ("creator", FIRST + 3, 2)


def test_a_signature_with_the_higher_s_is_found() -> None:
    def higher(_: Ledger, request: Request) -> bytes:
        envelope = common_pb2.Envelope.FromString(request.envelope())
        envelope.signature = request.creator.sign(envelope.payload, low_s=False)
        return bytes(envelope.SerializeToString())

    assert in_the_next_block(higher) == ("creator", FIRST + 3, 2)


def test_an_id_that_is_not_the_hash_of_nonce_and_creator_is_found() -> None:
    def other(_: Ledger, request: Request) -> Request:
        request.header.tx_id = "0" * 64
        return request

    assert in_the_next_block(other) == ("creator", FIRST + 3, 2)


def test_an_answer_to_another_request_is_found() -> None:
    def other(ledger: Ledger, request: Request) -> Request:
        request.proposal = ledger.channel.endorsed(ledger.revocation(7), time=admitted()[3].time).proposal
        return request

    assert in_the_next_block(other) == ("flag", FIRST + 3, 3)


def test_a_transaction_that_comes_twice_is_found() -> None:
    ledger = Ledger(taken=3)
    request = ledger.channel.endorsed(ledger.revocation(1), time=admitted()[3].time)
    ledger.channel.add(request)
    honest = ledger.channel.add(request, codes=[CODES.DUPLICATE_TXID])
    assert ledger.replayed().ok
    ledger.channel.blocks[-1] = changed(honest, lambda block: block.metadata.metadata.__setitem__(2, b"\0"))
    assert first(ledger.replayed()) == ("flag", FIRST + 4, 3)


def test_reads_that_are_not_current_any_more_are_found() -> None:
    ledger = Ledger()
    coming = ledger.coming()
    late = ledger.channel.endorsed(coming.transaction, time=coming.time)
    ledger.channel.add(ledger.channel.endorsed(coming.transaction, time=coming.time))
    ledger.channel.state.records.clear()  # so that the simulated peer takes it again
    ledger.channel.add(late)
    assert first(ledger.replayed()) == ("reads", FIRST + 1, 3)


def test_a_range_that_would_read_otherwise_is_found() -> None:
    ledger = Ledger()
    while (coming := ledger.coming()).transaction.payload.type != "close_round":
        last = coming
        ledger.channel.add(ledger.channel.endorsed(coming.transaction, time=coming.time))
    closing = ledger.channel.endorsed(coming.transaction, time=coming.time)
    assert last.transaction.payload.type == "publish_update"

    def forget(writes: Any) -> None:
        del writes.range_queries_info[0].raw_reads.kv_reads[-1]

    ledger.channel.add(closing.with_writes(forget, endorsed_again=True), codes=[CODES.PHANTOM_READ_CONFLICT])
    assert ledger.replayed().ok
    ledger.channel.blocks.pop()
    ledger.channel.add(closing)
    found = ledger.replayed()
    assert first(found)[0] == "reads"
    assert "the range" in found.findings[0].message


def transaction_policy(policy: Any) -> Any:
    """A chaincode's own policy."""
    return policy_pb2.ApplicationPolicy(signature_policy=policy)
