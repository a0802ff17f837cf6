"""The replica follows the best peer, whatever peers do, and nothing is read of it before it is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from consilo.api.models import Position
from consilo.fabric.blocks import decode_block
from consilo.fabric.lines import decode_line
from consilo.protocol.queries import NoArguments
from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.port import LedgerUnavailable
from tests.fabric_blocks import FabricChannel
from tests.unit.ledger.fabric.channels import add, registration, revocation
from tests.unit.ledger.fabric.simulated_network import (
    SimulatedNetwork,
    ready,
    simulated_network,
    told_by_check,
    until,
    until_good,
)
from tests.unit.ledger.fabric.simulated_peers import SimulatedPeer

Network = SimulatedNetwork


def grow(network: Network, number: int) -> int:
    """One more block; returns its height."""
    add(network.channel, revocation(network.channel, number))
    network.spread()
    return len(network.channel.blocks) - 1


def follows(adapter: FabricAdapter, msp: str) -> bool:
    """Whether this organisation's peer is the best."""
    return str(adapter._peers.best()).startswith(f"the peer of {msp} ")


async def test_it_is_told_of_every_block_as_it_comes(network: Network) -> None:
    adapter = await ready(network.adapter())
    end = await adapter.end()
    for number in range(5):
        height = grow(network, number)
        await adapter.wait_after(height - 1)
        assert (await adapter.head()).height == height
        assert (await adapter.head()).hash == decode_block(network.channel.blocks[height]).hash
    events = await adapter.events(end, 100)
    assert [event.position for event in events] == [Position(height=3 + number, index=0) for number in range(5)]


async def test_nothing_is_read_before_the_replica_has_come_as_far_as_a_peer(network: Network) -> None:
    own = network.peers["HospitalA"]
    own.stalls = True  # it gives the newest block, and the stream only those that were there when it began
    own.has_caught_up = False
    adapter = network.adapter("HospitalA")
    for question in (adapter.head(), adapter.end(), adapter.query("run_names", NoArguments()), adapter.blocks(0, 1)):
        with pytest.raises(LedgerUnavailable) as error:
            await question
        assert error.value.code == "ledger-unavailable"
    await ready(adapter)
    assert (await adapter.head()).height == 2


async def test_blocks_are_given_as_lines_from_a_peer(network: Network) -> None:
    adapter = await ready(network.adapter())
    lines = await adapter.blocks(1, 100)
    assert [decode_block(decode_line(line)).hash for line in lines] == [
        decode_block(block).hash for block in network.channel.blocks[1:]
    ]
    assert len(await adapter.blocks(0, 1)) == 1
    assert await adapter.blocks(3, 10) == []
    assert await adapter.blocks(2**53 - 1, 1000) == []


# -- Peers that fail ---------------------------------------------------------------------------------------------------


async def test_a_stream_that_breaks_goes_on_at_another_peer_and_comes_back(network: Network) -> None:
    adapter = await ready(network.adapter())
    own = network.peers["HospitalA"]
    await own.stop()
    await until(lambda: follows(adapter, "HospitalB"))
    height = grow(network, 1)
    await adapter.wait_after(height - 1)
    assert [problem.kind for problem in adapter._peers.problems()] == ["away"]
    await adapter.check()
    await own.start()
    await until(lambda: follows(adapter, "HospitalA"))
    height = grow(network, 2)
    await adapter.wait_after(height - 1)


def freezes(peer: SimulatedPeer) -> None:
    peer.frozen = True


def stalls(peer: SimulatedPeer) -> None:
    peer.stalls = True


@pytest.mark.parametrize("harm", [freezes, stalls])
async def test_a_stream_that_stands_still_without_breaking_is_noticed(
    network: Network, harm: Callable[[SimulatedPeer], None]
) -> None:
    adapter = await ready(network.adapter())
    harm(network.peers["HospitalA"])
    height = grow(network, 1)
    await adapter.wait_after(height - 1)
    assert (await adapter.head()).height == height


async def test_a_peer_that_is_behind_is_not_followed_until_it_has_caught_up(network: Network) -> None:
    adapter = await ready(network.adapter())
    own = network.peers["HospitalA"]
    own.has_caught_up = False
    await own.stop()
    await until(lambda: follows(adapter, "HospitalB"))
    height = grow(network, 1)
    await adapter.wait_after(height - 1)
    await own.start()
    await until(lambda: any("it has to catch up" in problem.advice for problem in adapter._peers.problems()))
    assert follows(adapter, "HospitalB")
    own.catch_up()
    await until(lambda: follows(adapter, "HospitalA"))


async def test_a_peer_with_another_chain_is_passed_over_and_told(network: Network, tmp_path: Path) -> None:
    adapter = await ready(network.adapter("HospitalA", "HospitalB"))
    own = network.peers["HospitalA"]
    await own.stop()
    await until(lambda: follows(adapter, "HospitalB"))
    other = FabricChannel()
    add(other, registration(other, "HospitalC"))
    own.blocks = list(other.blocks)
    await own.start()
    await until(lambda: any("of another network" in problem.advice for problem in adapter._peers.problems()))
    height = len(network.channel.blocks)
    network.peers["HospitalA"].has_caught_up = False
    assert grow(network, 1) == height
    await adapter.wait_after(height - 1)
    assert follows(adapter, "HospitalB")


async def test_a_state_file_of_another_network_of_the_same_name_is_refused(tmp_path: Path) -> None:
    async with simulated_network(tmp_path) as before:
        await ready(before.adapter())
    async with simulated_network(tmp_path) as after:
        after.channel.add(after.channel.called("other", (b"put",), {}))
        after.spread()
        adapter = after.adapter()
        error = await told_by_check(adapter, "remove the gateway's state_file")
        assert error.code == "ledger-misconfigured"
        with pytest.raises(LedgerUnavailable, match="state_file"):
            await adapter.head()
        with pytest.raises(LedgerUnavailable, match="state_file"):
            await adapter.submit(revocation(after.channel, 1))


async def test_a_gateway_that_starts_again_goes_on_where_it_was(network: Network) -> None:
    adapter = network.adapter()
    await ready(adapter)
    network.adapters.remove(adapter)
    await adapter.close()
    height = grow(network, 1)
    again = await ready(network.adapter())
    assert (await again.head()).height == height
    assert len(await again.events(Position(height=0, index=0), 10)) == 2


# -- Whether it is ready -----------------------------------------------------------------------------------------------


async def test_a_network_that_is_not_there_is_told_until_it_is(tmp_path: Path) -> None:
    async with simulated_network(tmp_path) as network:
        for peer in network.peers.values():
            await peer.stop()
        adapter = network.adapter()
        error = await told_by_check(adapter, "HospitalC")
        assert error.code == "ledger-unavailable"
        for msp, peer in network.peers.items():
            assert f"the peer of {msp} at {peer.address}: it cannot be reached" in error.message
        with pytest.raises(LedgerUnavailable, match="cannot be reached"):
            await adapter.head()
        for peer in network.peers.values():
            await peer.start()
        await until_good(adapter)
        assert (await adapter.head()).height == 1


@pytest.mark.parametrize(
    ("status", "words", "code", "advice"),
    [
        (
            grpc.StatusCode.FAILED_PRECONDITION,
            "error validating proposal: access denied: channel [test] creator org [HospitalA]",
            "ledger-misconfigured",
            "The client certificate must be one of MSP HospitalA, and that MSP a member of channel test",
        ),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to get config for channel [test]: could not get last config for channel test",
            "ledger-misconfigured",
            "it is not on channel test",
        ),
        (
            grpc.StatusCode.FAILED_PRECONDITION,
            "no peers available to evaluate chaincode consilo in channel test",
            "ledger-unavailable",
            "has chaincode consilo on channel test: have it installed, approved and committed",
        ),
        (
            grpc.StatusCode.UNKNOWN,
            "chaincode response 500, Invalid chain ID, organisation",
            "ledger-misconfigured",
            "chaincode consilo is not Consilo's",
        ),
        (
            grpc.StatusCode.ABORTED,
            "could not launch chaincode consilo_1: error building chaincode",
            "ledger-unavailable",
            "cannot reach its server of chaincode consilo: start it",
        ),
    ],
    ids=["access", "channel", "chaincode", "other-chaincode", "server"],
)
async def test_what_is_to_be_mended_is_told_by_name(
    network: Network, status: grpc.StatusCode, words: str, code: str, advice: str
) -> None:
    own = network.peers["HospitalA"]
    own.says = (status, words)
    error = await told_by_check(network.adapter("HospitalA"), advice)
    assert error.code == code


async def test_it_is_ready_as_long_as_one_peer_answers(network: Network) -> None:
    adapter = await ready(network.adapter())
    await network.peers["HospitalA"].stop()
    await network.peers["HospitalB"].stop()
    await until(lambda: follows(adapter, "HospitalC"))
    await adapter.check()
    await network.peers["HospitalC"].stop()
    await told_by_check(adapter)
    assert (await adapter.head()).height == 2, "what it has read stays readable"
