"""One transaction of a Fabric block, decoded as far as those need it who follow the ledger. Pure; no I/O.

An envelope is protobuf in protobuf, a dozen messages deep:

    Envelope{payload, signature} -> Payload{header{channel_header, signature_header}, data}
    data -> Transaction -> one TransactionAction -> ChaincodeActionPayload
         -> what was asked:  ChaincodeProposalPayload -> ChaincodeInvocationSpec{chaincode, arguments}
         -> what came of it: ProposalResponsePayload -> ChaincodeAction{read and write sets, event, response}
         -> who says so:     endorsements over ProposalResponsePayload
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

from consilo.fabric.errors import FabricBlockError

VALID: Final = 0
NOT_VALIDATED: Final = 254
CONFIG: Final = 1
ENDORSER_TRANSACTION: Final = 3


@dataclass(frozen=True)
class Endorsement:
    """A peer's word on what a transaction does.

    Attributes:
        msp: id of the peer's MSP, as the endorsement claims.
        certificate: the peer's, PEM.
        signature: ECDSA in DER, over the proposal response payload and `endorser`.
        endorser: the serialised identity, msp and certificate.
    """

    msp: str
    certificate: bytes
    signature: bytes
    endorser: bytes


@dataclass(frozen=True)
class FabricTransaction:
    """One transaction of a block. Where one cannot be read (`malformed`), what follows has its default.

    Attributes:
        index: in the block, from 0.
        code: the peer's validation code; 0 is VALID (`transaction_pb2.TxValidationCode`).
        envelope: the serialised envelope.
        id: Fabric's id of the transaction, hexadecimal; empty for most configurations.
        type: `common.HeaderType`; -1 when it cannot be read.
        channel: that the header names.
        time: of the header, milliseconds since 1970-01-01 UTC.
        creator_msp: MSP id of who sent it, as the header claims.
        creator_certificate: of who sent it, PEM.
        chaincode: name of the chaincode that was called; None for a configuration.
        arguments: of the call; the first is the function's name.
        writes: key -> value in the namespace of the chaincode, in the peer's order.
        deletes: keys that it takes away there; the chaincode `consilo` never does.
        status: of the chaincode's response.
        response: payload of the chaincode's response.
        event: payload of the chaincode's event, or None.
        event_name: of the chaincode's event, or None.
        malformed: what keeps it from being read, or None.
    """

    index: int
    code: int
    envelope: bytes = field(repr=False)
    id: str = ""
    type: int = -1
    channel: str = ""
    time: int = 0
    creator_msp: str = ""
    creator_certificate: bytes = field(default=b"", repr=False)
    chaincode: str | None = None
    arguments: tuple[bytes, ...] = field(default=(), repr=False)
    writes: dict[str, bytes] = field(default_factory=dict, repr=False)
    deletes: tuple[str, ...] = ()
    status: int = 0
    response: bytes = b""
    event: bytes | None = field(default=None, repr=False)
    event_name: str | None = None
    malformed: str | None = None

    @property
    def valid(self) -> bool:
        """Whether the peer called it valid."""
        return self.code == VALID

    @cached_property
    def endorsements(self) -> tuple[Endorsement, ...]:
        """Who says so. Decoded when asked for.

        Raises:
            FabricBlockError: `malformed`.
        """
        try:
            payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(self.envelope).payload)
            return tuple(
                _endorsement(each.endorser, each.signature) for each in _action(payload.data).action.endorsements
            )
        except (DecodeError, _Unreadable) as error:
            raise FabricBlockError("malformed", f"transaction {self.index}: {error}") from None


class _Unreadable(Exception):
    pass


def decode_transaction(envelope: bytes, index: int, code: int) -> FabricTransaction:
    """Read one transaction.

    Args:
        envelope: serialised.
        index: in its block.
        code: the peer's, for it.

    Raises:
        FabricBlockError: `malformed`, for one that the peer called valid.
    """
    transaction = FabricTransaction(index, code, envelope)
    try:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
        transaction = _with_header(transaction, payload.header)
        if transaction.type == ENDORSER_TRANSACTION:
            transaction = _with_action(transaction, payload)
    except (DecodeError, UnicodeDecodeError, _Unreadable) as error:
        if code == VALID:
            message = f"transaction {index} is called valid and cannot be read: {error}"
            raise FabricBlockError("malformed", message) from None
        return replace(transaction, malformed=str(error))
    return transaction


def milliseconds(timestamp: Any) -> int:
    """A `google.protobuf.Timestamp` in whole milliseconds since 1970-01-01 UTC, rounded down."""
    nanoseconds: int = timestamp.seconds * 1_000_000_000 + timestamp.nanos
    return nanoseconds // 1_000_000


def _with_header(transaction: FabricTransaction, header: common_pb2.Header) -> FabricTransaction:
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    signature = common_pb2.SignatureHeader.FromString(header.signature_header)
    creator = identities_pb2.SerializedIdentity.FromString(signature.creator)
    return replace(
        transaction,
        id=channel.tx_id,
        type=channel.type,
        channel=channel.channel_id,
        time=milliseconds(channel.timestamp),
        creator_msp=creator.mspid,
        creator_certificate=creator.id_bytes,
    )


def _with_action(transaction: FabricTransaction, payload: common_pb2.Payload) -> FabricTransaction:
    action = _action(payload.data)
    # The header says which chaincode is called: this is what peers go by. What the call repeats of it, nobody checks.
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    chaincode = proposal_pb2.ChaincodeHeaderExtension.FromString(header.extension).chaincode_id.name
    proposal = proposal_pb2.ChaincodeProposalPayload.FromString(action.chaincode_proposal_payload)
    call = chaincode_pb2.ChaincodeInvocationSpec.FromString(proposal.input).chaincode_spec
    answer = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    outcome = proposal_pb2.ChaincodeAction.FromString(answer.extension)
    writes, deletes = _writes(outcome.results, chaincode)
    event = chaincode_event_pb2.ChaincodeEvent.FromString(outcome.events) if outcome.events else None
    return replace(
        transaction,
        chaincode=chaincode,
        arguments=tuple(call.input.args),
        writes=writes,
        deletes=deletes,
        status=outcome.response.status,
        response=outcome.response.payload,
        event=None if event is None else event.payload,
        event_name=None if event is None else event.event_name,
    )


def _action(data: bytes) -> transaction_pb2.ChaincodeActionPayload:
    actions = transaction_pb2.Transaction.FromString(data).actions
    if len(actions) != 1:
        raise _Unreadable(f"it has {len(actions)} actions; Fabric admits one")
    return transaction_pb2.ChaincodeActionPayload.FromString(actions[0].payload)


def _writes(results: bytes, namespace: str) -> tuple[dict[str, bytes], tuple[str, ...]]:
    writes: dict[str, bytes] = {}
    deletes: list[str] = []
    for part in rwset_pb2.TxReadWriteSet.FromString(results).ns_rwset:
        if part.namespace == namespace:
            for write in kv_rwset_pb2.KVRWSet.FromString(part.rwset).writes:
                if write.is_delete or not write.value:  # to Fabric both are the same
                    deletes.append(write.key)
                else:
                    writes[write.key] = write.value
    return writes, tuple(deletes)


def _endorsement(endorser: bytes, signature: bytes) -> Endorsement:
    identity = identities_pb2.SerializedIdentity.FromString(endorser)
    return Endorsement(identity.mspid, identity.id_bytes, signature, endorser)
