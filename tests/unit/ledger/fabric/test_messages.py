"""Proposals, transactions and requests for blocks hold what Fabric demands of them, signed over what it checks."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2

from consilo.fabric.transactions import decode_transaction
from services.ledger.fabric.messages import (
    LAST_NUMBER,
    Endorsed,
    commit_status_request,
    propose,
    read_endorsed,
    seek_blocks,
    seek_newest,
    signed_transaction,
)
from services.ledger.fabric.signing import ClientIdentity, signer
from tests.fabric_blocks import FabricChannel
from tests.fabric_members import organisation
from tests.simulated_members import START_MS
from tests.unit.ledger.fabric.channels import registration

CLIENT = organisation("HospitalA").client
IDENTITY = ClientIdentity("HospitalA", CLIENT.pem, signer(CLIENT.key), expires_at=2**53)
NONCE = bytes(range(24))


def check(signature: bytes, data: bytes) -> None:
    CLIENT.key.public_key().verify(signature, data, ec.ECDSA(SHA256()))


def test_a_proposal_is_a_signed_call_with_an_id_of_its_own() -> None:
    made = propose(
        IDENTITY, channel="test", chaincode="consilo", arguments=[b"submit", b"{}"], time=1_234_567, nonce=NONCE
    )
    assert made.transaction_id == hashlib.sha256(NONCE + IDENTITY.creator).hexdigest()
    check(made.signed.signature, made.signed.proposal_bytes)
    proposal = proposal_pb2.Proposal.FromString(made.signed.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    assert (channel.type, channel.channel_id, channel.tx_id) == (3, "test", made.transaction_id)
    assert (channel.timestamp.seconds, channel.timestamp.nanos) == (1234, 567_000_000)
    signature = common_pb2.SignatureHeader.FromString(header.signature_header)
    assert (signature.creator, signature.nonce) == (IDENTITY.creator, NONCE)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    call = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
    assert (call.chaincode_id.name, list(call.input.args)) == ("consilo", [b"submit", b"{}"])
    assert made.size_bytes == len(made.signed.SerializeToString())


def test_what_was_endorsed_gives_the_answer_and_is_signed_as_it_is() -> None:
    channel = FabricChannel()
    prepared = channel.endorsed(registration(channel), time=START_MS).envelope()
    payload = common_pb2.Envelope.FromString(prepared).payload
    endorsed = read_endorsed("f00", common_pb2.Envelope(payload=payload))
    assert endorsed.result == decode_transaction(prepared, 0, 0).response
    signed = signed_transaction(IDENTITY, endorsed)
    assert signed.payload == payload
    check(signed.signature, payload)
    assert 0 <= endorsed.size_bytes - len(payload) - len(signed.signature) <= 4


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"\x12\x04\x0a\x00\x0a\x00"], ids=["nothing", "garbage", "two-actions"]
)
def test_what_is_no_transaction_is_not_taken_for_one(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_endorsed("f00", common_pb2.Envelope(payload=payload))


def test_a_wait_for_a_commit_is_asked_for_in_the_clients_name() -> None:
    request = commit_status_request(IDENTITY, channel="test", transaction_id="f00")
    check(request.signature, request.request)
    asked = gateway_pb2.CommitStatusRequest.FromString(request.request)
    assert (asked.transaction_id, asked.channel_id, asked.identity) == ("f00", "test", IDENTITY.creator)


def seek_of(envelope: common_pb2.Envelope) -> ab_pb2.SeekInfo:
    check(envelope.signature, envelope.payload)
    payload = common_pb2.Payload.FromString(envelope.payload)
    channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    assert (channel.type, channel.channel_id, channel.timestamp.seconds) == (5, "test", 1)
    return ab_pb2.SeekInfo.FromString(payload.data)


def test_blocks_are_asked_for_from_one_to_another_or_without_end() -> None:
    some = seek_of(seek_blocks(IDENTITY, channel="test", first=0, last=7, time=1000, nonce=NONCE))
    assert (some.start.specified.number, some.stop.specified.number) == (0, 7)
    assert some.start.WhichOneof("Type") == "specified", "the first block's number is what nothing looks like"
    assert some.behavior == ab_pb2.SeekInfo.FAIL_IF_NOT_READY
    endless = seek_of(seek_blocks(IDENTITY, channel="test", first=3, last=LAST_NUMBER, time=1000, nonce=NONCE))
    assert (endless.start.specified.number, endless.stop.specified.number) == (3, LAST_NUMBER)
    assert endless.behavior == ab_pb2.SeekInfo.BLOCK_UNTIL_READY
    newest = seek_of(seek_newest(IDENTITY, channel="test", time=1000, nonce=NONCE))
    assert (newest.start.WhichOneof("Type"), newest.stop.WhichOneof("Type")) == ("newest", "newest")


def test_representations_hold_no_content() -> None:
    made = propose(IDENTITY, channel="test", chaincode="c", arguments=[b"a secret"], time=1, nonce=NONCE)
    assert "secret" not in repr(made)
    assert "secret" not in repr(Endorsed("f00", b"a secret", common_pb2.Envelope(payload=b"a secret")))
