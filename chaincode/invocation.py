"""What a peer's TRANSACTION message asks for, and what is answered. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fabric_protos.common import common_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    chaincode_shim_pb2,
    proposal_pb2,
    proposal_response_pb2,
)

from consilo.fabric.transactions import milliseconds

OK: Final = 200
REFUSED: Final = 400
"""From this status on, a peer endorses nothing."""
DEFECT: Final = 500

EVENT_NAME: Final = "consilo"


@dataclass(frozen=True)
class Invocation:
    """One call of the chaincode.

    Attributes:
        channel: name of the channel, which is the ledger's.
        arguments: the first is the function's name, UTF-8.
        time: that the proposal claims, whole milliseconds since 1970-01-01 UTC, rounded down.
        creator_msp: id of the MSP whose identity signed the proposal; the peer has verified it.
        chaincode: name of the chaincode that the proposal calls: another one's, when that one calls this.
    """

    channel: str
    arguments: tuple[bytes, ...] = field(repr=False)
    time: int
    creator_msp: str
    chaincode: str


@dataclass(frozen=True)
class Answer:
    """What comes of a call.

    Attributes:
        status: `OK`, `REFUSED` or `DEFECT`.
        payload: for the caller, when it is `OK`.
        message: for the caller, when it is not.
        writes: key -> value, in order of writing.
        event: payload of the chaincode's event, or None for no event.
    """

    status: int
    payload: bytes = field(default=b"", repr=False)
    message: str = ""
    writes: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    event: bytes | None = field(default=None, repr=False)


def read_invocation(message: chaincode_shim_pb2.ChaincodeMessage) -> Invocation:
    """The call in a TRANSACTION message.

    Raises:
        google.protobuf.message.DecodeError: it cannot be read; a peer has read it before and sends no such thing.
    """
    call = chaincode_pb2.ChaincodeInput.FromString(message.payload)
    proposal = proposal_pb2.Proposal.FromString(message.proposal.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    signature = common_pb2.SignatureHeader.FromString(header.signature_header)
    creator = identities_pb2.SerializedIdentity.FromString(signature.creator)
    extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension)
    return Invocation(
        channel=message.channel_id,
        arguments=tuple(call.args),
        time=milliseconds(channel.timestamp),
        creator_msp=creator.mspid,
        chaincode=extension.chaincode_id.name,
    )


def completed(channel: str, txid: str, answer: Answer) -> bytes:
    """The serialised COMPLETED message that tells the peer the answer."""
    response = proposal_response_pb2.Response(status=answer.status, message=answer.message, payload=answer.payload)
    message = chaincode_shim_pb2.ChaincodeMessage(
        type=chaincode_shim_pb2.ChaincodeMessage.COMPLETED,
        payload=response.SerializeToString(),
        txid=txid,
        channel_id=channel,
    )
    if answer.event is not None:
        # The peer itself fills in the chaincode's name and the transaction's id.
        message.chaincode_event.CopyFrom(
            chaincode_event_pb2.ChaincodeEvent(event_name=EVENT_NAME, payload=answer.event)
        )
    serialised: bytes = message.SerializeToString()
    return serialised
