"""Transactions of a simulated Fabric channel, on their way from a client over endorsers to an orderer. Real keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)

from consilo.protocol.state import DictState
from tests.fabric_members import Signer

Version = tuple[int, int]


@dataclass(frozen=True)
class Call:
    """A call of a chaincode, and what came of it.

    Attributes:
        channel: its name.
        chaincode: its name.
        arguments: the first is the function's name.
        results: what was read and written, by namespace.
        time: of the header, milliseconds since the epoch.
        response: payload of the response.
        event: payload of the event, or None.
    """

    channel: str
    chaincode: str
    arguments: Sequence[bytes]
    results: Mapping[str, kv_rwset_pb2.KVRWSet]
    time: int = 0
    response: bytes = b""
    event: bytes | None = None

    def endorsed(self, creator: Signer, endorsers: Sequence[Signer]) -> Request:
        """Sent by somebody, and signed for by peers."""
        nonce, name = os.urandom(24), chaincode_pb2.ChaincodeID(name=self.chaincode)
        header = common_pb2.ChannelHeader(
            type=common_pb2.ENDORSER_TRANSACTION,
            channel_id=self.channel,
            tx_id=hashlib.sha256(nonce + creator.identity).hexdigest(),
            extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=name).SerializeToString(),
        )
        header.timestamp.FromMilliseconds(self.time)
        call = chaincode_pb2.ChaincodeSpec(
            chaincode_id=name, input=chaincode_pb2.ChaincodeInput(args=list(self.arguments))
        )
        proposal = proposal_pb2.ChaincodeProposalPayload(
            input=chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=call).SerializeToString()
        ).SerializeToString()
        request = Request(creator, header, nonce, proposal, proposal_response_pb2.ProposalResponsePayload(), endorsers)
        asked = header.SerializeToString() + request.signature_header + proposal
        request.response.proposal_hash = hashlib.sha256(asked).digest()
        request.response.extension = self._action(header.tx_id).SerializeToString()
        return request.endorse()

    def _action(self, id_: str) -> proposal_pb2.ChaincodeAction:
        sets = [
            rwset_pb2.NsReadWriteSet(namespace=namespace, rwset=part.SerializeToString())
            for namespace, part in self.results.items()
        ]
        action = proposal_pb2.ChaincodeAction(
            results=rwset_pb2.TxReadWriteSet(ns_rwset=sets).SerializeToString(),
            response=proposal_response_pb2.Response(status=200, payload=self.response),
            chaincode_id=chaincode_pb2.ChaincodeID(name=self.chaincode, version="1"),
        )
        if self.event is not None:
            action.events = chaincode_event_pb2.ChaincodeEvent(
                chaincode_id=self.chaincode, tx_id=id_, event_name=self.chaincode, payload=self.event
            ).SerializeToString()
        return action


@dataclass
class Request:
    """A transaction on its way to an orderer; every part may be changed before it is signed (`envelope`)."""

    creator: Signer
    header: common_pb2.ChannelHeader
    nonce: bytes
    proposal: bytes
    response: proposal_response_pb2.ProposalResponsePayload
    endorsers: Sequence[Signer]
    endorsements: list[proposal_response_pb2.Endorsement] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Fabric's."""
        return str(self.header.tx_id)

    @property
    def signature_header(self) -> bytes:
        """Of the creator."""
        header = common_pb2.SignatureHeader(creator=self.creator.identity, nonce=self.nonce)
        return bytes(header.SerializeToString())

    def endorse(self) -> Request:
        """Sign as all endorsers."""
        payload = self.response.SerializeToString()
        self.endorsements = [
            proposal_response_pb2.Endorsement(endorser=peer.identity, signature=peer.sign(payload + peer.identity))
            for peer in self.endorsers
        ]
        return self

    def changed(self, change: Callable[[Any], None], *, endorsed_again: bool = False) -> Request:
        """Change the `ChaincodeAction`, or what is in it, under the old endorsements or under new ones."""
        action = proposal_pb2.ChaincodeAction.FromString(self.response.extension)
        change(action)
        self.response.extension = action.SerializeToString()
        return self.endorse() if endorsed_again else self

    def with_writes(self, change: Callable[[Any], None], *, endorsed_again: bool = False) -> Request:
        """Change the `KVRWSet` of the chaincode."""

        def reach(action: Any) -> None:
            results = rwset_pb2.TxReadWriteSet.FromString(action.results)
            part = next(each for each in results.ns_rwset if each.namespace == action.chaincode_id.name)
            found = kv_rwset_pb2.KVRWSet.FromString(part.rwset)
            change(found)
            part.rwset = found.SerializeToString()
            action.results = results.SerializeToString()

        return self.changed(reach, endorsed_again=endorsed_again)

    def envelope(self) -> bytes:
        """Signed by the creator."""
        action = transaction_pb2.ChaincodeActionPayload(
            chaincode_proposal_payload=self.proposal,
            action=transaction_pb2.ChaincodeEndorsedAction(
                proposal_response_payload=self.response.SerializeToString(), endorsements=self.endorsements
            ),
        )
        actions = [transaction_pb2.TransactionAction(header=self.signature_header, payload=action.SerializeToString())]
        return signed_envelope(
            self.creator,
            common_pb2.Payload(
                header=common_pb2.Header(
                    channel_header=self.header.SerializeToString(), signature_header=self.signature_header
                ),
                data=transaction_pb2.Transaction(actions=actions).SerializeToString(),
            ),
        )


class RecordingState:
    """A state that remembers what was read, as a peer does."""

    def __init__(self, state: DictState) -> None:
        self._state = state
        self._read: dict[str, None] = {}
        self._ranges: list[tuple[str, str, list[str]]] = []

    @property
    def ledger(self) -> str:
        return self._state.ledger

    def get(self, key: str) -> bytes | None:
        self._read[key] = None
        return self._state.get(key)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        found = list(self._state.range(start, end))
        self._ranges.append((start, end, [key for key, _ in found]))
        yield from found

    def reads(self, version: Callable[[str], Version | None]) -> kv_rwset_pb2.KVRWSet:
        made = kv_rwset_pb2.KVRWSet()
        for key in sorted(self._read):
            add_read(made.reads, key, version(key))
        for start, end, keys_read in self._ranges:
            query = made.range_queries_info.add(start_key=start, end_key=end, itr_exhausted=True)
            query.raw_reads.SetInParent()
            for key in keys_read:
                add_read(query.raw_reads.kv_reads, key, version(key))
        return made


def signed_envelope(signer: Signer, payload: common_pb2.Payload) -> bytes:
    """A payload, signed by whomever."""
    data = payload.SerializeToString()
    return bytes(common_pb2.Envelope(payload=data, signature=signer.sign(data)).SerializeToString())


def signature_header(signer: Signer) -> bytes:
    header = common_pb2.SignatureHeader(creator=signer.identity, nonce=os.urandom(24))
    return bytes(header.SerializeToString())


def add_read(reads: Any, key: str, version: Version | None) -> None:
    found = reads.add(key=key)
    if version is not None:
        found.version.block_num, found.version.tx_num = version
