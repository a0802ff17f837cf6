"""Streams of peers: their beginning, what peers may do to them, and their end."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from consilo.protocol.state import DictState
from tests.faults.harness import free_port
from tests.simulators import Consortium
from tests.unit.chaincode.conftest import PACKAGE_ID, ConnectPeer, StartServer
from tests.unit.chaincode.peer import WITHIN_SECONDS, ChaincodeMessage, Peer, connected, dial, next_frame


class Withheld:
    """Leaves the first request of a transaction unanswered, until told otherwise."""

    def __init__(self) -> None:
        self.request: Any = None
        self.asked = asyncio.Event()

    def __call__(self, request: Any) -> Any:
        if self.request is not None:
            return ...
        self.request = request
        self.asked.set()
        return None

    async def wait(self) -> None:
        await asyncio.wait_for(self.asked.wait(), WITHIN_SECONDS)

    async def answer(self, peer: Peer, payload: bytes = b"") -> None:
        txid, channel = self.request.txid, self.request.channel_id
        await peer.send(
            ChaincodeMessage(type=ChaincodeMessage.RESPONSE, payload=payload, txid=txid, channel_id=channel)
        )


async def assert_serves(peer: Peer) -> None:
    assert (await peer.call(b"query", b"organisations", b"{}")).status == 200


async def until_ended(call: Any) -> Any:
    """Reads a stream to its end, and tells its status."""
    while await asyncio.wait_for(next_frame(call), WITHIN_SECONDS) is not None:
        pass
    return await asyncio.wait_for(call.code(), WITHIN_SECONDS)


async def test_the_first_message_is_the_registration(start_server: StartServer) -> None:
    server = await start_server()
    async with dial(server.port) as call:
        hello = ChaincodeMessage.FromString(await asyncio.wait_for(call.read(), WITHIN_SECONDS))
        assert hello.type == ChaincodeMessage.REGISTER
        assert PACKAGE_ID.encode() in hello.payload


@pytest.mark.parametrize(
    "frames",
    [
        [b"\xff\xff\xff"],
        [ChaincodeMessage(type=ChaincodeMessage.ERROR, payload=b"no such package").SerializeToString()],
        [ChaincodeMessage(type=ChaincodeMessage.READY).SerializeToString()],
        [ChaincodeMessage(type=ChaincodeMessage.TRANSACTION, txid="1").SerializeToString()],
        [b""],
        [
            ChaincodeMessage(type=ChaincodeMessage.REGISTERED).SerializeToString(),
            ChaincodeMessage(type=ChaincodeMessage.TRANSACTION, txid="1").SerializeToString(),
        ],
    ],
    ids=["garbage", "error", "ready-at-once", "transaction-at-once", "empty", "transaction-before-ready"],
)
async def test_a_peer_that_does_not_accept_the_registration_is_left(
    frames: list[bytes], start_server: StartServer
) -> None:
    server = await start_server()
    async with dial(server.port) as call:
        for frame in frames:
            await call.write(frame)
        assert await until_ended(call) == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_peer_that_says_nothing_is_left(start_server: StartServer) -> None:
    server = await start_server(registration_timeout_seconds=0.05)
    async with dial(server.port) as call:
        assert await until_ended(call) == grpc.StatusCode.INVALID_ARGUMENT


async def test_signs_of_life_are_sent_back_before_and_after_the_registration(start_server: StartServer) -> None:
    server = await start_server()
    async with dial(server.port) as call:
        peer = Peer(call, DictState("consilo"))
        beat = ChaincodeMessage(type=ChaincodeMessage.KEEPALIVE)
        await peer.send(beat)
        await peer.register()
        following = asyncio.create_task(peer.follow())
        await peer.send(beat)
        for _ in range(2):
            assert await asyncio.wait_for(peer.echoes.get(), WITHIN_SECONDS) == beat
        following.cancel()


@pytest.mark.parametrize("frame", [b"\xff\xff\xff", b"\x0a\xff"], ids=["garbage", "cut-off"])
async def test_a_malformed_frame_ends_its_stream_and_no_other(
    frame: bytes, start_server: StartServer, connect: ConnectPeer
) -> None:
    server = await start_server(max_running_transactions=1)
    other = await connect(DictState("consilo"), server)
    withheld = Withheld()
    async with connected(server.port, DictState("consilo")) as peer:
        simulation = await peer.begin(b"query", b"run_names", b"{}", interfere=withheld)
        await withheld.wait()
        await peer.send(frame)
        with pytest.raises(ConnectionError):
            await peer.result(simulation)
    # The only thread is free again: the transaction that nobody answers has ended.
    await assert_serves(other)


async def test_a_transaction_whose_peer_is_gone_ends_at_once(start_server: StartServer, connect: ConnectPeer) -> None:
    server = await start_server(max_running_transactions=1, answer_timeout_seconds=600)
    other = await connect(DictState("consilo"), server)
    withheld = Withheld()
    async with connected(server.port, DictState("consilo")) as peer:
        await peer.begin(b"query", b"run_names", b"{}", interfere=withheld)
        for _ in range(5):
            await peer.begin(b"query", b"run_names", b"{}", interfere=withheld)
        await withheld.wait()
    await assert_serves(other)


async def test_transactions_beyond_the_limit_wait_their_turn(start_server: StartServer, connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"), await start_server(max_running_transactions=2))
    withheld = [Withheld(), Withheld()]
    blocking = [await peer.begin(b"query", b"run_names", b"{}", interfere=each) for each in withheld]
    for each in withheld:
        await each.wait()
    waiting = [await peer.begin(b"query", b"run_names", b"{}") for _ in range(20)]
    assert all(not simulation.asked for simulation in waiting)
    for each in withheld:
        await each.answer(peer)
    for simulation in (*blocking, *waiting):
        assert (await peer.result(simulation)).status == 200


async def test_a_transaction_that_is_sent_twice_runs_once(connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"))
    withheld = Withheld()
    simulation = await peer.begin(b"query", b"run_names", b"{}", txid="twice", interfere=withheld)
    await withheld.wait()
    await peer.begin(b"query", b"run_names", b"{}", txid="twice")
    await withheld.answer(peer)
    assert (await peer.result(simulation)).status == 200
    assert simulation.asked == {"GET_STATE_BY_RANGE": 1}
    await assert_serves(peer)


@pytest.mark.parametrize(
    "kind",
    [ChaincodeMessage.RESPONSE, ChaincodeMessage.ERROR, ChaincodeMessage.READY, ChaincodeMessage.PUT_STATE, 0, 999],
)
async def test_a_message_that_concerns_no_transaction_is_passed_over(kind: int, connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"))
    await peer.send(ChaincodeMessage(type=kind, txid="unknown", channel_id="consilo", payload=b"x"))
    await assert_serves(peer)


async def test_more_peers_than_the_limit_are_refused(start_server: StartServer, connect: ConnectPeer) -> None:
    server = await start_server(max_peers=2)
    peers = [await connect(DictState("consilo"), server) for _ in range(2)]
    async with dial(server.port) as call:
        assert await until_ended(call) == grpc.StatusCode.RESOURCE_EXHAUSTED
    for peer in peers:
        await assert_serves(peer)


async def test_a_message_beyond_the_limit_ends_its_stream_and_no_other(
    start_server: StartServer, connect: ConnectPeer
) -> None:
    server = await start_server(max_message_bytes=2**20)
    other = await connect(DictState("consilo"), server)
    async with connected(server.port, DictState("consilo")) as peer:
        await peer.send(b"x" * (2**20 + 1))
        simulation = await peer.begin(b"query", b"run_names", b"{}")
        with pytest.raises(ConnectionError):
            await peer.result(simulation)
    await assert_serves(other)


async def test_two_streams_of_one_peer_are_apart(start_server: StartServer, connect: ConnectPeer) -> None:
    server = await start_server()
    old, new = [await connect(DictState("consilo"), server) for _ in range(2)]
    withheld = Withheld()
    simulation = await old.begin(b"query", b"run_names", b"{}", txid="same", interfere=withheld)
    await withheld.wait()
    assert (await new.call(b"query", b"run_names", b"{}", txid="same")).status == 200
    await withheld.answer(old)
    assert (await old.result(simulation)).status == 200


async def test_ending_lets_running_transactions_finish_and_begins_no_others(
    consortium: Consortium, start_server: StartServer
) -> None:
    server = await start_server(shutdown_grace_seconds=WITHIN_SECONDS)
    withheld = Withheld()
    transaction = consortium.make.propose_run().encode()
    async with dial(server.port) as call:
        peer = Peer(call, consortium.state)
        await peer.register()
        following = asyncio.create_task(peer.follow())
        running = await peer.begin(b"submit", transaction, time=consortium.clock, interfere=withheld)
        await withheld.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)  # so that it has begun
        late = await peer.call(b"submit", transaction, time=consortium.clock)
        assert (late.status, late.refusal.code, late.refusal.retryable) == (500, "defect", True)
        assert not stopping.done()
        await withheld.answer(peer)
        result = await peer.result(running)
        assert result.status == 200
        assert result.writes
        await asyncio.wait_for(stopping, WITHIN_SECONDS)
        await following
        assert await call.code() == grpc.StatusCode.OK


async def test_ending_waits_for_a_silent_peer_no_longer_than_the_grace(start_server: StartServer) -> None:
    server = await start_server(shutdown_grace_seconds=0.05, answer_timeout_seconds=600)
    withheld = Withheld()
    async with connected(server.port, DictState("consilo")) as peer:
        simulation = await peer.begin(b"query", b"run_names", b"{}", interfere=withheld)
        await withheld.wait()
        await asyncio.wait_for(server.stop(), WITHIN_SECONDS)
        with pytest.raises(ConnectionError):
            await peer.result(simulation)


async def test_a_server_that_has_ended_leaves_its_address_to_the_next(
    start_server: StartServer, connect: ConnectPeer
) -> None:
    first = await start_server(port=free_port())
    async with connected(first.port, DictState("consilo")) as peer:
        await assert_serves(peer)
        await first.stop()
    second = await start_server(port=first.port)
    await assert_serves(await connect(DictState("consilo"), second))
