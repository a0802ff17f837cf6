"""A Fabric channel in memory, for tests of what reads blocks: orderer, peers and clients in one, with real keys.

    channel = FabricChannel()                                # genesis, and the chaincode's definition
    request = channel.endorsed(transaction, time=now)        # as its peers endorse it now
    channel.add(request)                                     # the next block, in which it is called valid
    FabricReplay().run(channel.blocks)

What a test says of codes is what the blocks say, right or wrong; only what is called valid changes the state. To
attack, change a request, a code, or a block (`changed`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from consilo.fabric.blocks import header_bytes
from consilo.fabric.commit_hash import commit_hash
from consilo.fabric.receipts import Receipt
from consilo.fabric.validity import accesses_of
from consilo.protocol import keys
from consilo.protocol.apply import apply
from consilo.protocol.records import Applied
from consilo.protocol.state import DictState, read
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from tests.fabric_members import ORDERERS, Signer, channel_group, member, organisation
from tests.fabric_requests import (
    Call,
    RecordingState,
    Request,
    Version,
    add_read,
    signature_header,
    signed_envelope,
)

CHANNEL: Final = "test"
ORGANISATIONS: Final = ("HospitalA", "HospitalB", "HospitalC")
MAJORITY: Final = policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Endorsement")


class FabricChannel:
    """See this module.

    Args:
        organisations: MSP ids of the application organisations.
        policy: who must endorse; default: a majority.
        name: of the channel.
    """

    def __init__(
        self,
        organisations: Sequence[str] = ORGANISATIONS,
        *,
        policy: policy_pb2.ApplicationPolicy = MAJORITY,
        name: str = CHANNEL,
    ) -> None:
        self.name = name
        self.organisations = tuple(organisations)
        self.orderer = member(ORDERERS, "orderer")
        self.blocks: list[bytes] = []
        self.state = DictState(name)
        self.versions: dict[tuple[str, str], Version] = {}
        self.config = configtx_pb2.Config(channel_group=channel_group(self.organisations))
        self._commit_hash = b""
        self._add_genesis()
        self.add(self.defined(policy))

    def endorsed(
        self,
        transaction: Transaction,
        *,
        time: int,
        creator: Signer | None = None,
        endorsers: Sequence[Signer] | None = None,
    ) -> Request:
        """A call of `submit`, as the peers of the first two organisations endorse it now; refused as `apply` does.

        Args:
            transaction: Consilo's.
            time: of the header, milliseconds since the epoch.
            creator: default: the client of the member's organisation.
            endorsers: default: the peers of the first two organisations.
        """
        msp = organisation_of(transaction.payload.member)
        sender = creator or organisation(msp).client
        state = RecordingState(self.state)
        outcome = apply(state, transaction, time, vouched=sender.msp == msp)
        applied = read(self.state, keys.transaction(transaction.id), Applied)
        receipt = Receipt(
            transaction=transaction.id,
            time=time if applied is None else applied.applied_at,
            repeated=outcome.repeated,
        )
        reads = state.reads(lambda key: self.versions.get(("consilo", key)))
        for key, value in outcome.writes.items():
            reads.writes.add(key=key, value=value)
        return self.called(
            "consilo",
            (b"submit", transaction.encode()),
            {"_lifecycle": self._lifecycle_read(), "consilo": reads},
            time=time,
            creator=sender,
            endorsers=endorsers,
            response=receipt.encode(),
            event=None if outcome.event is None else outcome.event.encode(),
        )

    def called(
        self, chaincode: str, arguments: Sequence[bytes], results: dict[str, kv_rwset_pb2.KVRWSet], **outcome: Any
    ) -> Request:
        """Any call of any chaincode, with any outcome (`fabric_requests.Call`); endorsed by the first two peers."""
        creator = outcome.pop("creator", None) or organisation(self.organisations[0]).client
        endorsers = outcome.pop("endorsers", None)
        if endorsers is None:
            endorsers = [organisation(msp).peer for msp in self.organisations[:2]]
        return Call(self.name, chaincode, arguments, results, **outcome).endorsed(creator, endorsers)

    def defined(self, policy: policy_pb2.ApplicationPolicy, sequence: int = 1) -> Request:
        """The commit of the chaincode's definition."""
        fields = {
            "Sequence": db_pb2.StateData(Int64=sequence),
            "EndorsementInfo": db_pb2.StateData(
                Bytes=chaincode_definition_pb2.ChaincodeEndorsementInfo(version="1").SerializeToString()
            ),
            "ValidationInfo": db_pb2.StateData(
                Bytes=chaincode_definition_pb2.ChaincodeValidationInfo(
                    validation_plugin="vscc", validation_parameter=policy.SerializeToString()
                ).SerializeToString()
            ),
        }
        writes = kv_rwset_pb2.KVRWSet()
        about = db_pb2.StateMetadata(datatype="ChaincodeDefinition", fields=list(fields))
        writes.writes.add(key="namespaces/metadata/consilo", value=about.SerializeToString())
        for name, value in fields.items():
            writes.writes.add(key=f"namespaces/fields/consilo/{name}", value=value.SerializeToString())
        return self.called("_lifecycle", (b"CommitChaincodeDefinition",), {"_lifecycle": writes})

    def add(self, *transactions: Request | bytes, codes: Sequence[int] = (), signer: Signer | None = None) -> bytes:
        """Add a block of these transactions, with the codes that a peer gives them; default: all are valid."""
        envelopes = [each if isinstance(each, bytes) else each.envelope() for each in transactions]
        given = bytes([*codes, *bytes(len(envelopes) - len(codes))])
        number, written = len(self.blocks), []
        for index, envelope in enumerate(envelopes):
            found = accesses_of(envelope)
            if given[index] == 0 and found is not None:
                written.append(((number, index), found[1]))
                for each in found[1]:
                    for key, value in each.writes:
                        self.versions[each.space.namespace, key.decode()] = (number, index)
                        if each.space.namespace == "consilo":
                            self.state.commit({key.decode(): value or b""})
        # Where it cannot be worked out from the block, a peer's is as good as any other.
        self._commit_hash = commit_hash(self._commit_hash, given, written) or os.urandom(32)
        self.blocks.append(self._block(envelopes, signer or self.orderer, given, self._commit_hash))
        return self.blocks[-1]

    def unfinished(self, *envelopes: bytes, codes: Sequence[int]) -> bytes:
        """What could be the next block, by a peer that keeps no commit hashes; the channel stays as it is."""
        return self._block(list(envelopes), self.orderer, bytes(codes), b"")

    def _block(self, envelopes: list[bytes], signer: Signer, codes: bytes, commit: bytes) -> bytes:
        previous = common_pb2.Block.FromString(self.blocks[-1])
        block = common_pb2.Block(data=common_pb2.BlockData(data=envelopes))
        block.header.number = len(self.blocks)
        block.header.previous_hash = hashlib.sha256(header_bytes(previous.header)).digest()
        finish(block, signer, codes, commit)
        return bytes(block.SerializeToString())

    def configured(self, change: Callable[[Any], None], *signers: Signer, submitted_by: Signer | None = None) -> bytes:
        """The envelope of a change of the configuration, which is the channel's from now on.

        Args:
            change: changes the `ConfigGroup` of the channel, and the versions of what it changes.
            signers: of the change.
            submitted_by: signs the envelope; default: the orderer.
        """
        before = configtx_pb2.ConfigGroup()
        before.CopyFrom(self.config.channel_group)
        change(self.config.channel_group)
        self.config.sequence += 1
        update = configtx_pb2.ConfigUpdate(
            channel_id=self.name, read_set=before, write_set=self.config.channel_group
        ).SerializeToString()
        envelope = configtx_pb2.ConfigUpdateEnvelope(config_update=update)
        for signer in signers:
            header = signature_header(signer)
            envelope.signatures.add(signature_header=header, signature=signer.sign(header + update))
        first = signers[0] if signers else self.orderer
        payload = self._payload(common_pb2.CONFIG_UPDATE, first, envelope.SerializeToString())
        asked = common_pb2.Envelope.FromString(signed_envelope(first, payload))
        data = configtx_pb2.ConfigEnvelope(config=self.config, last_update=asked).SerializeToString()
        sender = submitted_by or self.orderer
        return signed_envelope(sender, self._payload(common_pb2.CONFIG, sender, data))

    def _add_genesis(self) -> None:
        data = configtx_pb2.ConfigEnvelope(config=self.config).SerializeToString()
        payload = self._payload(common_pb2.CONFIG, None, data)
        envelope = common_pb2.Envelope(payload=payload.SerializeToString())
        block = common_pb2.Block(data=common_pb2.BlockData(data=[envelope.SerializeToString()]))
        block.header.data_hash = hashlib.sha256(block.data.data[0]).digest()
        block.metadata.metadata.extend([b"", b"", b"\0", b"", b""])
        self.blocks.append(block.SerializeToString())

    def _payload(self, kind: int, signer: Signer | None, data: bytes) -> common_pb2.Payload:
        header = common_pb2.ChannelHeader(type=kind, channel_id=self.name)
        signed_by = b"" if signer is None else signature_header(signer)
        return common_pb2.Payload(
            header=common_pb2.Header(channel_header=header.SerializeToString(), signature_header=signed_by),
            data=data,
        )

    def _lifecycle_read(self) -> kv_rwset_pb2.KVRWSet:
        key = "namespaces/fields/consilo/Sequence"
        found = kv_rwset_pb2.KVRWSet()
        add_read(found.reads, key, self.versions.get(("_lifecycle", key)))
        return found


def finish(block: common_pb2.Block, signer: Signer, codes: bytes, commit: bytes) -> None:
    """Give a block the hash of its data, an orderer's signature, and a peer's word."""
    block.header.data_hash = hashlib.sha256(b"".join(block.data.data)).digest()
    value = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=0)).SerializeToString()
    header = signature_header(signer)
    signatures = common_pb2.Metadata(value=value)
    signatures.signatures.add(
        signature_header=header, signature=signer.sign(value + header + header_bytes(block.header))
    )
    del block.metadata.metadata[:]
    block.metadata.metadata.extend(
        [signatures.SerializeToString(), b"", codes, b"", common_pb2.Metadata(value=commit).SerializeToString()]
    )


def changed(block: bytes, change: Callable[[Any], None]) -> bytes:
    """A block that somebody who keeps it has changed."""
    read_block = common_pb2.Block.FromString(block)
    change(read_block)
    return bytes(read_block.SerializeToString())
