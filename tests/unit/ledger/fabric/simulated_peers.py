"""Peers and an orderer over a channel in memory, behind real gRPC connections, which can be told to misbehave.

A peer endorses on the state of the blocks that it has, and the gateway services ask their own peer first and then one
other, as Fabric's do. What a peer is told to answer or to keep back stands in its attributes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_pb2, events_pb2, events_pb2_grpc, proposal_pb2

from consilo.fabric.blocks import decode_block
from consilo.fabric.transactions import decode_transaction
from consilo.protocol.apply import apply
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from services.ledger.fabric.answers import DETAILS_KEY, MISMATCH
from tests.fabric_blocks import FabricChannel
from tests.fabric_members import organisation
from tests.unit.ledger.fabric.details import details, refused

MVCC_READ_CONFLICT = 11

Code = grpc.StatusCode


class Network(Protocol):
    """What a peer knows of the others."""

    channel: FabricChannel
    orderer: Orderer
    peers: dict[str, SimulatedPeer]

    def spread(self) -> None:
        """Peers take the blocks that there are."""
        ...


class Orderer:
    """Makes a block of every envelope, at once.

    Attributes:
        loses: how many of the next envelopes it takes and forgets.
        away: it takes none.
        taken: Fabric's ids of all that it took.
    """

    def __init__(self, channel: FabricChannel) -> None:
        self.channel = channel
        self.loses = 0
        self.away = False
        self.taken: list[str] = []

    def take(self, envelope: bytes) -> None:
        """Order an envelope."""
        transaction = decode_transaction(envelope, 0, 0)
        self.taken.append(transaction.id)
        if self.loses:
            self.loses -= 1
            return
        conflicts = any(key in self.channel.state.records for key in transaction.writes)
        self.channel.add(envelope, codes=[MVCC_READ_CONFLICT] if conflicts else [])


class SimulatedPeer(gateway_pb2_grpc.GatewayServicer, events_pb2_grpc.DeliverServicer):  # type: ignore[misc]
    """One organisation's peer.

    Attributes:
        has_caught_up: it takes blocks as they come; else it stays where it is.
        differs: it comes to another result than others.
        says: an error to all requests of its gateway service: code and words; None for none.
        refuses: a refusal instead of its own endorsements, in the peer's words; None for none.
        frozen: it answers nothing.
        stalls: streams of blocks that have no end bring nothing new.
        endorsements: how often it was asked to endorse.
        before_endorsing: awaited first, once.
    """

    def __init__(self, msp: str, network: Network) -> None:
        self.msp = msp
        self.network = network
        self.state = DictState(network.channel.name)
        self.blocks: list[bytes] = []
        self.codes: dict[str, tuple[int, int]] = {}
        self.has_caught_up = True
        self.differs = False
        self.says: tuple[grpc.StatusCode, str] | None = None
        self.refuses: str | None = None
        self.frozen = False
        self.stalls = False
        self.endorsements = 0
        self.address = ""
        self.before_endorsing: Callable[[], Awaitable[None]] | None = None
        self._grown = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    # Its ledger

    def catch_up(self, upto: int | None = None) -> None:
        """Take the blocks that there are."""
        for block in self.network.channel.blocks[len(self.blocks) : upto]:
            decoded = decode_block(block)
            for transaction in decoded.transactions:
                if transaction.valid and transaction.chaincode == "consilo":
                    self.state.commit(transaction.writes)
                self.codes[transaction.id] = (decoded.number, transaction.code)
            self.blocks.append(block)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _growth(self) -> None:
        await self._grown.wait()

    # Its life

    async def start(self) -> None:
        """Listen; again at the same address after an end."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        gateway_pb2_grpc.add_GatewayServicer_to_server(self, self._server)
        events_pb2_grpc.add_DeliverServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """End, with all streams."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    # Its services

    async def Evaluate(self, request: Any, context: Any) -> Any:  # noqa: N802 - Fabric's name
        await self._answers()
        if self.says is not None:
            await self._abort(context, *self.says)
        found = self.network.peers[(request.target_organizations or [self.msp])[0]]
        message = refused("organisation-unknown")
        await self._fail(context, Code.UNKNOWN, "evaluate call failed", (found.address, found.msp, message))

    async def Endorse(self, request: Any, context: Any) -> Any:  # noqa: N802 - Fabric's name
        self.endorsements += 1
        if self.before_endorsing is not None:
            before, self.before_endorsing = self.before_endorsing, None
            await before()
        await self._answers()
        if self.says is not None:
            await self._abort(context, *self.says)
        proposal = proposal_pb2.Proposal.FromString(request.proposed_transaction.proposal_bytes)
        asked = [self, *(peer for peer in self.network.peers.values() if peer is not self)]
        failures: list[tuple[str, str, str]] = []
        first = self._endorsed(proposal)
        if isinstance(first, str):
            await self._fail(context, Code.ABORTED, "failed to endorse", (self.address, self.msp, first))
        for other in asked[1:]:
            answer = other._endorsed(proposal)
            if isinstance(answer, str):
                failures.append((other.address, other.msp, answer))
            elif answer[0] != first[0] or other.differs or self.differs:
                failures.append((other.address, other.msp, MISMATCH))
            else:
                envelope = common_pb2.Envelope.FromString(first[1])
                return gateway_pb2.EndorseResponse(prepared_transaction=common_pb2.Envelope(payload=envelope.payload))
        await self._fail(context, Code.ABORTED, "failed to collect enough", *failures)

    def _endorsed(self, proposal: proposal_pb2.Proposal) -> str | tuple[dict[str, bytes], bytes]:
        """Writes and envelope, or what the peer says instead."""
        header = common_pb2.Header.FromString(proposal.header)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        call = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
        transaction = Transaction.decode(call.input.args[1])
        client = organisation("HospitalA").client
        time = channel_header.timestamp.ToMilliseconds()
        vouched = organisation_of(transaction.payload.member) == client.msp
        if self.refuses is not None:
            return self.refuses
        try:
            outcome = apply(self.state, transaction, time, vouched=vouched)
        except Refusal as refusal:
            return refused(refusal.code, refusal.message)
        try:
            request = self.network.channel.endorsed(transaction, time=time, creator=client)
        except Refusal:
            return outcome.writes, b""  # on a state that others have left behind
        request.header, request.nonce, request.proposal = channel_header, signature_header.nonce, proposal.payload
        return outcome.writes, request.endorse().envelope()

    async def Submit(self, request: Any, context: Any) -> Any:  # noqa: N802 - Fabric's name
        await self._answers()
        if self.network.orderer.away:
            await self._fail(context, Code.UNAVAILABLE, "no orderers could successfully process transaction")
        self.network.orderer.take(request.prepared_transaction.SerializeToString())
        self.network.spread()
        return gateway_pb2.SubmitResponse()

    async def CommitStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - Fabric's name
        await self._answers()
        asked = gateway_pb2.CommitStatusRequest.FromString(request.request)
        while asked.transaction_id not in self.codes:
            await self._growth()
        block, code = self.codes[asked.transaction_id]
        return gateway_pb2.CommitStatusResponse(result=code, block_number=block)

    async def Deliver(self, requests: Any, context: Any) -> Any:  # noqa: N802 - Fabric's name
        async for envelope in requests:
            await self._answers()
            seek = ab_pb2.SeekInfo.FromString(common_pb2.Payload.FromString(envelope.payload).data)
            newest = len(self.blocks) - 1
            place = newest if seek.start.WhichOneof("Type") == "newest" else seek.start.specified.number
            last = newest if seek.stop.WhichOneof("Type") == "newest" else seek.stop.specified.number
            while place <= last:
                await self._answers()
                endless = seek.behavior == ab_pb2.SeekInfo.BLOCK_UNTIL_READY
                if place < len(self.blocks) and not (endless and self.stalls and place > newest):
                    block = common_pb2.Block.FromString(self.blocks[place])
                    yield events_pb2.DeliverResponse(block=block)
                    place += 1
                elif endless:
                    await self._growth()
                else:
                    yield events_pb2.DeliverResponse(status=common_pb2.NOT_FOUND)
                    return
            yield events_pb2.DeliverResponse(status=common_pb2.SUCCESS)

    async def _answers(self) -> None:
        if self.frozen:
            await asyncio.Event().wait()

    async def _abort(self, context: Any, code: grpc.StatusCode, words: str) -> None:
        await self._fail(context, code, words, (self.address, self.msp, words))

    async def _fail(self, context: Any, code: grpc.StatusCode, message: str, *answers: tuple[str, str, str]) -> None:
        context.set_trailing_metadata([(DETAILS_KEY, details(*answers, message=message))])
        await context.abort(code, message)
