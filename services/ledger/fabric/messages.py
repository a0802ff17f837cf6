"""The messages that a client of Fabric makes and reads: proposals, transactions, requests for blocks. Pure; no I/O.

A proposal asks endorsers what a call of the chaincode would do. Their common answer, with their signatures and the
client's, is the transaction that is ordered. Its id is a hash of a nonce and the client's identity, so that the same
call can be made again as another transaction. Messages of protobuf are mutable: those here are read only once made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

from services.ledger.fabric.signing import ClientIdentity

NONCE_BYTES: Final = 24
_SIGNATURE_BYTES: Final = 72  # of P-256 in DER, at most
LAST_NUMBER: Final = 2**64 - 1
"""Of a block that will never be: who asks for blocks up to it, gets them as they come, without end."""


@dataclass(frozen=True)
class Proposal:
    """A signed call of the chaincode.

    Attributes:
        transaction_id: Fabric's, hexadecimal.
        time: of the header, milliseconds since 1970-01-01 UTC; the protocol's time of the transaction.
        signed: as it is sent.
    """

    transaction_id: str
    time: int
    signed: proposal_pb2.SignedProposal = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """Of the proposal as it is sent."""
        return int(self.signed.ByteSize())


@dataclass(frozen=True)
class Endorsed:
    """A proposal with the answer that enough endorsers agree on.

    Attributes:
        transaction_id: Fabric's, hexadecimal.
        result: payload of the chaincode's response.
        envelope: what is ordered; not signed by the client yet.
    """

    transaction_id: str
    result: bytes = field(repr=False)
    envelope: common_pb2.Envelope = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """Of the transaction as it is ordered, with a signature, as orderers count."""
        return len(self.envelope.payload) + _SIGNATURE_BYTES


def propose(
    identity: ClientIdentity, *, channel: str, chaincode: str, arguments: Sequence[bytes], time: int, nonce: bytes
) -> Proposal:
    """Make and sign a proposal.

    Args:
        identity: of the client.
        channel: name of the channel.
        chaincode: name of the chaincode.
        arguments: of the call; the first is the function's name.
        time: milliseconds since 1970-01-01 UTC.
        nonce: 24 random bytes, used once.
    """
    creator = identity.creator
    transaction_id = hashlib.sha256(nonce + creator).hexdigest()
    name = chaincode_pb2.ChaincodeID(name=chaincode)
    header = _header(
        creator,
        nonce,
        common_pb2.ENDORSER_TRANSACTION,
        channel,
        time,
        transaction_id=transaction_id,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=name).SerializeToString(),
    )
    call = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            chaincode_id=name, input=chaincode_pb2.ChaincodeInput(args=list(arguments))
        )
    )
    payload = proposal_pb2.ChaincodeProposalPayload(input=call.SerializeToString())
    proposal = proposal_pb2.Proposal(
        header=header.SerializeToString(), payload=payload.SerializeToString()
    ).SerializeToString()
    signed = proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=identity.sign_message(proposal))
    return Proposal(transaction_id, time, signed)


def read_endorsed(transaction_id: str, envelope: common_pb2.Envelope) -> Endorsed:
    """What came of a proposal, from the transaction that the gateway service prepared.

    Raises:
        ValueError: it is no transaction with one action.
    """
    try:
        payload = common_pb2.Payload.FromString(envelope.payload)
        (action,) = transaction_pb2.Transaction.FromString(payload.data).actions
        endorsed = transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action
        answer = proposal_response_pb2.ProposalResponsePayload.FromString(endorsed.proposal_response_payload)
        result = proposal_pb2.ChaincodeAction.FromString(answer.extension).response.payload
    except DecodeError as error:
        raise ValueError(f"the peer prepared what is no transaction: {error}") from None
    return Endorsed(transaction_id, result, envelope)


def signed_transaction(identity: ClientIdentity, endorsed: Endorsed) -> common_pb2.Envelope:
    """The transaction with the client's signature."""
    payload = endorsed.envelope.payload
    return common_pb2.Envelope(payload=payload, signature=identity.sign_message(payload))


def commit_status_request(
    identity: ClientIdentity, *, channel: str, transaction_id: str
) -> gateway_pb2.SignedCommitStatusRequest:
    """A request that waits for a transaction to be in a block."""
    request = gateway_pb2.CommitStatusRequest(
        transaction_id=transaction_id, channel_id=channel, identity=identity.creator
    ).SerializeToString()
    return gateway_pb2.SignedCommitStatusRequest(request=request, signature=identity.sign_message(request))


def seek_blocks(
    identity: ClientIdentity, *, channel: str, first: int, last: int, time: int, nonce: bytes
) -> common_pb2.Envelope:
    """A request for blocks. Up to `LAST_NUMBER` they come without end; else only those that are there.

    Args:
        identity: of the client.
        channel: name of the channel.
        first: number of the first block.
        last: number of the last block.
        time: milliseconds since 1970-01-01 UTC.
        nonce: 24 random bytes.
    """
    endless = last == LAST_NUMBER
    seek = ab_pb2.SeekInfo(
        start=_position(first),
        stop=_position(last),
        behavior=ab_pb2.SeekInfo.BLOCK_UNTIL_READY if endless else ab_pb2.SeekInfo.FAIL_IF_NOT_READY,
    )
    return _signed_seek(identity, channel, seek, time, nonce)


def seek_newest(identity: ClientIdentity, *, channel: str, time: int, nonce: bytes) -> common_pb2.Envelope:
    """A request for the newest block that the peer has."""
    newest = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
    seek = ab_pb2.SeekInfo(start=newest, stop=newest, behavior=ab_pb2.SeekInfo.FAIL_IF_NOT_READY)
    return _signed_seek(identity, channel, seek, time, nonce)


def _signed_seek(
    identity: ClientIdentity, channel: str, seek: ab_pb2.SeekInfo, time: int, nonce: bytes
) -> common_pb2.Envelope:
    header = _header(identity.creator, nonce, common_pb2.DELIVER_SEEK_INFO, channel, time)
    payload = common_pb2.Payload(header=header, data=seek.SerializeToString()).SerializeToString()
    return common_pb2.Envelope(payload=payload, signature=identity.sign_message(payload))


def _position(number: int) -> ab_pb2.SeekPosition:
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))


def _header(
    creator: bytes,
    nonce: bytes,
    kind: int,
    channel: str,
    time: int,
    *,
    transaction_id: str = "",
    extension: bytes = b"",
) -> common_pb2.Header:
    channel_header = common_pb2.ChannelHeader(type=kind, channel_id=channel, tx_id=transaction_id, extension=extension)
    channel_header.timestamp.seconds, milliseconds = divmod(time, 1000)
    channel_header.timestamp.nanos = milliseconds * 1_000_000
    return common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
    )
