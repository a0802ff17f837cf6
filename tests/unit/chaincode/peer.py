"""A peer's side of the shim's protocol, over a state in memory: it keeps account, and can be told to fail.

Like Fabric's peer it simulates each transaction on the state as it is when the transaction begins, hands out ranges in
batches of 100, and collects what is put; committing that is the test's affair.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, proposal_pb2, proposal_response_pb2

from consilo.fabric.receipts import RefusalText
from consilo.protocol.state import DictState
from tests.simulated_members import START_MS

ChaincodeMessage = chaincode_shim_pb2.ChaincodeMessage

BATCH: Final = 100
WITHIN_SECONDS: Final = 20.0

Interfere = Callable[[Any], Any]
"""Given a transaction's request, what to answer instead: a message, None for no answer, or `...` for the usual one."""


@dataclass
class Simulation:
    """One transaction on the peer.

    Attributes:
        reads: the read set: keys in the order in which they were asked for.
        writes: the write set.
        asked: requests by the name of their type.
        completed: the chaincode's COMPLETED message, when it has come.
    """

    state: DictState
    reads: list[str] = field(default_factory=list)
    writes: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    iterators: dict[str, Iterator[tuple[str, bytes]]] = field(default_factory=dict)
    interfere: Interfere = lambda _: ...
    completed: asyncio.Future[Any] = field(default_factory=asyncio.Future)


@dataclass(frozen=True)
class Result:
    """What the chaincode answered, and how it came to it."""

    status: int
    message: str
    payload: bytes
    event: bytes | None
    event_name: str
    simulation: Simulation

    @property
    def writes(self) -> dict[str, bytes]:
        """The write set, in order of writing."""
        return self.simulation.writes

    @property
    def refusal(self) -> RefusalText:
        """The message of a call that was not admitted."""
        return RefusalText.decode(self.message.encode())


class Peer:
    """A peer that is connected to a chaincode's server.

    Attributes:
        state: what transactions are simulated on.
        channel: name of its only channel.
        registered_as: the package id under which the chaincode registered.
    """

    def __init__(self, call: Any, state: DictState) -> None:
        self.state = state
        self.channel = state.ledger
        self.registered_as = ""
        self.echoes: asyncio.Queue[Any] = asyncio.Queue()
        self._call = call
        self._simulations: dict[str, Simulation] = {}
        self._numbers = itertools.count(1)
        self._iterators = itertools.count(1)
        self._write_lock = asyncio.Lock()

    async def register(self) -> None:
        """Take the chaincode's registration and accept it."""
        hello = ChaincodeMessage.FromString(await self._call.read())
        assert hello.type == ChaincodeMessage.REGISTER
        self.registered_as = chaincode_pb2.ChaincodeID.FromString(hello.payload).name
        await self.send(ChaincodeMessage(type=ChaincodeMessage.REGISTERED))
        await self.send(ChaincodeMessage(type=ChaincodeMessage.READY))

    async def follow(self) -> None:
        """Take what the chaincode sends, until the stream ends."""
        while (frame := await next_frame(self._call)) is not None:
            message = ChaincodeMessage.FromString(frame)
            simulation = self._simulations.get(message.txid)
            if message.type == ChaincodeMessage.KEEPALIVE:
                self.echoes.put_nowait(message)
            elif message.type == ChaincodeMessage.COMPLETED:
                assert simulation is not None
                assert not simulation.completed.done(), "completed twice"
                simulation.completed.set_result(message)
            else:
                assert simulation is not None
                assert not simulation.completed.done(), "asked after it completed"
                await self._answer(message, simulation)
        for simulation in self._simulations.values():
            if not simulation.completed.done():
                simulation.completed.set_exception(ConnectionError("chaincode stream terminated"))

    async def send(self, message: Any) -> None:
        """Send a message, or a frame as it is."""
        async with self._write_lock:
            await self._call.write(message if isinstance(message, bytes) else message.SerializeToString())

    async def begin(
        self,
        *arguments: bytes,
        msp: str = "HospitalA",
        time: int = START_MS,
        nanoseconds: int = 0,
        interfere: Interfere = lambda _: ...,
        txid: str = "",
        kind: int = ChaincodeMessage.TRANSACTION,
        proposal: bytes | None = None,
        chaincode: str = "consilo",
    ) -> Simulation:
        """Send a transaction, without waiting for what comes of it; `proposal` replaces the good one."""
        snapshot = DictState(self.state.ledger)
        snapshot.commit(self.state.records)
        simulation = Simulation(snapshot, interfere=interfere)
        txid = txid or f"{next(self._numbers):064x}"
        self._simulations.setdefault(txid, simulation)
        if proposal is None:
            proposal = self._proposal(txid, msp, time, nanoseconds, chaincode)
        await self.send(
            ChaincodeMessage(
                type=kind,
                payload=chaincode_pb2.ChaincodeInput(args=arguments).SerializeToString(),
                txid=txid,
                channel_id=self.channel,
                proposal=proposal_pb2.SignedProposal(proposal_bytes=proposal),
            )
        )
        return simulation

    def _proposal(self, txid: str, msp: str, time: int, nanoseconds: int, chaincode: str) -> bytes:
        seconds, milliseconds = divmod(time, 1000)
        header = common_pb2.ChannelHeader(channel_id=self.channel, tx_id=txid)
        header.timestamp.seconds, header.timestamp.nanos = seconds, milliseconds * 1_000_000 + nanoseconds
        called = proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode))
        header.extension = called.SerializeToString()
        creator = identities_pb2.SerializedIdentity(mspid=msp, id_bytes=b"a certificate of Fabric's, not of Consilo's")
        proposal = proposal_pb2.Proposal(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(),
                signature_header=common_pb2.SignatureHeader(creator=creator.SerializeToString()).SerializeToString(),
            ).SerializeToString()
        )
        return bytes(proposal.SerializeToString())

    async def call(self, *arguments: bytes, **circumstances: Any) -> Result:
        """Have a transaction simulated, as `begin` says, and tell what the chaincode answered."""
        return await self.result(await self.begin(*arguments, **circumstances))

    async def result(self, simulation: Simulation) -> Result:
        """What comes of a transaction.

        Raises:
            ConnectionError: the stream ended before the answer.
        """
        message = await asyncio.wait_for(asyncio.shield(simulation.completed), WITHIN_SECONDS)
        response = proposal_response_pb2.Response.FromString(message.payload)
        has_event = message.HasField("chaincode_event")
        return Result(
            status=response.status,
            message=response.message,
            payload=response.payload,
            event=message.chaincode_event.payload if has_event else None,
            event_name=message.chaincode_event.event_name,
            simulation=simulation,
        )

    async def _answer(self, request: Any, simulation: Simulation) -> None:
        simulation.asked[ChaincodeMessage.Type.Name(request.type)] += 1
        answer = simulation.interfere(request)
        if answer is ...:
            payload = self._read_or_write(request, simulation)
            answer = ChaincodeMessage(type=ChaincodeMessage.RESPONSE, payload=payload)
        if answer is not None:
            answer.txid, answer.channel_id = request.txid, request.channel_id
            await self.send(answer)

    def _read_or_write(self, request: Any, simulation: Simulation) -> bytes:
        match request.type:
            case ChaincodeMessage.GET_STATE:
                key = chaincode_shim_pb2.GetState.FromString(request.payload).key
                simulation.reads.append(key)
                return simulation.state.get(key) or b""
            case ChaincodeMessage.PUT_STATE:
                put = chaincode_shim_pb2.PutState.FromString(request.payload)
                simulation.writes[put.key] = put.value
                return b""
            case ChaincodeMessage.GET_STATE_BY_RANGE:
                asked = chaincode_shim_pb2.GetStateByRange.FromString(request.payload)
                name = f"iterator-{next(self._iterators)}"
                simulation.iterators[name] = simulation.state.range(asked.startKey, asked.endKey)
                return self._batch(name, simulation)
            case ChaincodeMessage.QUERY_STATE_NEXT:
                return self._batch(chaincode_shim_pb2.QueryStateNext.FromString(request.payload).id, simulation)
            case ChaincodeMessage.QUERY_STATE_CLOSE:
                del simulation.iterators[chaincode_shim_pb2.QueryStateClose.FromString(request.payload).id]
                return b""
            case _:
                raise AssertionError(f"the chaincode asks for {request.type}")

    def _batch(self, name: str, simulation: Simulation) -> bytes:
        found = list(itertools.islice(simulation.iterators[name], BATCH + 1))
        response = chaincode_shim_pb2.QueryResponse(id=name, has_more=len(found) > BATCH)
        for key, value in found[:BATCH]:
            record = kv_query_result_pb2.KV(namespace="consilo", key=key, value=value)
            response.results.add(resultBytes=record.SerializeToString())
        if response.has_more:
            simulation.iterators[name] = itertools.chain(found[BATCH:], simulation.iterators[name])
        else:
            del simulation.iterators[name]
        return bytes(response.SerializeToString())


async def next_frame(call: Any) -> bytes | None:
    """The next frame of a stream, or None at its end, in order or not."""
    try:
        frame = await call.read()
    except grpc.aio.AioRpcError:
        return None
    return frame if isinstance(frame, bytes) else None


@asynccontextmanager
async def dial(port: int, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Any]:
    """A stream to a chaincode's server, as a peer opens it: a call of gRPC with `read` and `write`, frames as bytes."""
    address = f"127.0.0.1:{port}"
    channel = (
        grpc.aio.insecure_channel(address) if credentials is None else grpc.aio.secure_channel(address, credentials)
    )
    async with channel:
        call: Any = channel.stream_stream("/protos.Chaincode/Connect")()
        try:
            yield call
        finally:
            call.cancel()


@asynccontextmanager
async def connected(
    port: int, state: DictState, credentials: grpc.ChannelCredentials | None = None
) -> AsyncIterator[Peer]:
    """A peer that has accepted the chaincode's registration, and follows the stream."""
    async with dial(port, credentials) as call:
        peer = Peer(call, state)
        await asyncio.wait_for(peer.register(), WITHIN_SECONDS)
        following = asyncio.create_task(peer.follow())
        try:
            yield peer
            if following.done():
                following.result()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
