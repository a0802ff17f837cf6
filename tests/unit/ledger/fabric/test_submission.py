"""A transaction comes onto the ledger once, whatever goes wrong on the way; or its sender is told what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import pytest

from consilo.protocol.queries import OfOrganisation
from consilo.protocol.records import Organisation
from consilo.protocol.refusals import Refusal
from consilo.protocol.transaction import Transaction
from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.port import LedgerUnavailable
from tests.simulated_members import START_MS
from tests.unit.ledger.fabric.channels import add, registration, requests_on, revocation
from tests.unit.ledger.fabric.details import refused
from tests.unit.ledger.fabric.simulated_network import (
    WITHIN_SECONDS,
    SimulatedNetwork,
    ready,
    until,
)
from tests.unit.ledger.fabric.simulated_peers import SimulatedPeer

Network = SimulatedNetwork


async def test_a_commit_has_time_and_head_and_is_read_at_once(network: Network) -> None:
    adapter = await ready(network.adapter())
    transaction = registration(network.channel, "HospitalB")
    with pytest.raises(Refusal) as refusal:  # only HospitalB's own gateway is vouched for
        await adapter.submit(transaction)
    assert refusal.value.code == "registration-not-vouched"
    commit = await adapter.submit(revocation(network.channel, 1))
    assert (commit.time, commit.repeated) == (START_MS, False)
    assert commit.head == await adapter.head()
    assert commit.head.height == 3
    found = await adapter.query("organisation", OfOrganisation(msp="HospitalA"))
    assert isinstance(found, Organisation)


async def test_a_transaction_that_the_replica_has_is_answered_without_a_peer(network: Network) -> None:
    adapter = await ready(network.adapter())
    transaction = revocation(network.channel, 1)
    first = await adapter.submit(transaction)
    asked = sum(peer.endorsements for peer in network.peers.values())
    again = await adapter.submit(transaction)
    assert (again.time, again.repeated, again.head) == (first.time, True, first.head)
    assert sum(peer.endorsements for peer in network.peers.values()) == asked


async def test_a_transaction_that_only_the_peers_have_is_not_ordered_again(network: Network) -> None:
    adapter = await ready(network.adapter())
    transaction = revocation(network.channel, 1)
    own = network.peers["HospitalA"]

    async def another_gateway_is_faster() -> None:
        add(network.channel, transaction)
        network.spread()

    own.before_endorsing = another_gateway_is_faster
    commit = await adapter.submit(transaction)
    assert (commit.time, commit.repeated) == (START_MS + 3, True)
    assert commit.head.height == 3
    assert network.orderer.taken == []


# -- What is lost ------------------------------------------------------------------------------------------------------


async def test_what_the_orderer_took_and_lost_is_handed_in_again_as_another_transaction(network: Network) -> None:
    adapter = await ready(network.adapter(commit_timeout_seconds=0.1))
    network.orderer.loses = 2
    commit = await adapter.submit(revocation(network.channel, 1))
    assert not commit.repeated
    assert len(set(network.orderer.taken)) == 3
    assert commit.head.height == 3


async def test_two_that_meet_in_one_block_become_one(network: Network) -> None:
    adapter = await ready(network.adapter())
    transaction = revocation(network.channel, 1)
    commits = await asyncio.gather(*(adapter.submit(transaction) for _ in range(5)))
    assert sorted(commit.repeated for commit in commits) == [False, True, True, True, True]
    assert {commit.time for commit in commits} == {START_MS}


async def test_a_conflict_is_tried_again_as_another_transaction(network: Network) -> None:
    adapter = await ready(network.adapter())
    transaction = revocation(network.channel, 1)
    take = network.orderer.take

    def another_is_first(envelope: bytes) -> None:
        network.orderer.take = take  # type: ignore[method-assign]
        add(network.channel, transaction)
        take(envelope)

    network.orderer.take = another_is_first  # type: ignore[method-assign]
    commit = await adapter.submit(transaction)
    assert commit.repeated
    assert len(network.orderer.taken) == 1


async def test_while_no_orderer_takes_it_it_waits_and_then_says_so(network: Network) -> None:
    adapter = await ready(network.adapter(transaction_timeout_seconds=0.5))
    network.orderer.away = True
    with pytest.raises(LedgerUnavailable, match=r"after 0.5 s .*orderers do not take transactions") as error:
        await adapter.submit(revocation(network.channel, 1))
    assert error.value.code == "ledger-unavailable"
    network.orderer.away = False
    assert not (await adapter.submit(revocation(network.channel, 1))).repeated


async def test_what_is_committed_but_does_not_reach_the_replica_is_said_to_be_on_the_ledger(network: Network) -> None:
    adapter = await ready(network.adapter(transaction_timeout_seconds=0.3, silence_seconds=60))
    own = network.peers["HospitalA"]
    own.stalls = True
    with pytest.raises(LedgerUnavailable, match="it is on the ledger; waiting for the replica to have block 3"):
        await adapter.submit(revocation(network.channel, 1))
    own.stalls = False
    own.catch_up()
    assert (await adapter.submit(revocation(network.channel, 1))).repeated


# -- Refusals ----------------------------------------------------------------------------------------------------------


async def test_a_refusal_that_the_replica_confirms_is_given_at_once_in_the_same_words(network: Network) -> None:
    adapter = await ready(network.adapter(lag_seconds=600, transaction_timeout_seconds=600))
    await adapter.submit(revocation(network.channel, 1, reason="lost"))
    other = revocation(network.channel, 1, reason="stolen")
    with pytest.raises(Refusal) as refusal:
        async with asyncio.timeout(WITHIN_SECONDS):
            await adapter.submit(other)
    assert (refusal.value.code, refusal.value.message) == ("already-revoked", "HospitalA has revoked 2 before")
    assert not refusal.value.retryable


async def test_a_refusal_by_endorsers_that_lag_is_waited_out(network: Network) -> None:
    adapter = await ready(network.adapter(lag_seconds=600, transaction_timeout_seconds=600))
    transaction = await after_a_registration_that_only_the_own_peer_has(network, adapter)
    waiting = asyncio.create_task(adapter.submit(transaction))
    await until(lambda: network.peers["HospitalA"].endorsements >= 3)
    network.peers["HospitalC"].catch_up()
    assert not (await waiting).repeated
    assert len(network.orderer.taken) == 1


async def test_endorsers_that_go_on_lagging_are_named_after_a_while(network: Network) -> None:
    adapter = await ready(network.adapter(lag_seconds=0.2))
    transaction = await after_a_registration_that_only_the_own_peer_has(network, adapter)
    with pytest.raises(LedgerUnavailable) as error:
        await adapter.submit(transaction)
    assert error.value.code == "endorsers-differ"
    for msp in ("HospitalB", "HospitalC"):
        assert f"{msp} ({network.peers[msp].address}): refused, organisation-unknown" in error.value.message
    assert network.peers["HospitalA"].endorsements > 1


async def test_a_refusal_by_the_own_peer_that_the_replica_does_not_confirm_is_given_after_a_while(
    network: Network,
) -> None:
    adapter = await ready(network.adapter(lag_seconds=0.2))
    own = network.peers["HospitalA"]
    own.refuses = refused("run-unknown", "no run trial")
    with pytest.raises(Refusal) as refusal:
        await adapter.submit(revocation(network.channel, 1))
    assert (refusal.value.code, refusal.value.message) == ("run-unknown", "no run trial")
    assert refusal.value.retryable
    assert own.endorsements > 1


async def test_a_refusal_by_the_own_peer_is_forgotten_when_it_catches_up(network: Network) -> None:
    adapter = await ready(network.adapter(lag_seconds=600, transaction_timeout_seconds=600))
    own = network.peers["HospitalA"]
    own.refuses = refused("organisation-unknown")
    waiting = asyncio.create_task(adapter.submit(revocation(network.channel, 1)))
    await until(lambda: own.endorsements >= 3)
    own.refuses = None
    assert not (await waiting).repeated


async def test_peers_that_come_to_other_results_are_named_after_a_while(network: Network) -> None:
    adapter = await ready(network.adapter(lag_seconds=0.2))
    network.peers["HospitalA"].differs = True
    with pytest.raises(LedgerUnavailable) as error:
        await adapter.submit(revocation(network.channel, 1))
    assert error.value.code == "endorsers-differ"
    assert "do not agree on this transaction with the peer of HospitalA" in error.value.message
    assert "HospitalB" in error.value.message
    assert "HospitalC" in error.value.message
    assert network.orderer.taken == []


async def test_one_peer_of_three_that_differs_stops_nothing(network: Network) -> None:
    adapter = await ready(network.adapter())
    network.peers["HospitalB"].differs = True
    assert not (await adapter.submit(revocation(network.channel, 1))).repeated


@pytest.mark.parametrize(("code", "tries"), [("clock-differs", 1), ("defect", 2), ("function-unknown", 2)])
async def test_what_is_no_refusal_of_the_protocol_is_told_with_its_code_and_organisation(
    network: Network, code: str, tries: int
) -> None:
    adapter = await ready(network.adapter(lag_seconds=0.2))
    own = network.peers["HospitalA"]
    own.refuses = refused(code, "some words", status=500)
    with pytest.raises(LedgerUnavailable) as error:
        await adapter.submit(revocation(network.channel, 1))
    assert (error.value.code, error.value.message) == (code, "HospitalA's peer: some words")
    assert own.endorsements >= tries


# -- Bounds ------------------------------------------------------------------------------------------------------------


async def test_what_the_channel_does_not_take_is_refused_before_it_is_sent(network: Network) -> None:
    adapter = await ready(network.adapter(max_message_bytes=1024))
    with pytest.raises(Refusal, match=r"has [0-9]+ bytes; the channel takes 1024") as refusal:
        await adapter.submit(revocation(network.channel, 1))
    assert refusal.value.code == "too-large"
    assert network.peers["HospitalA"].endorsements == 0


async def test_more_than_the_peers_take_are_told_to_come_again(network: Network) -> None:
    adapter = await ready(network.adapter(max_transactions_in_flight=2))
    own = network.peers["HospitalA"]
    own.frozen = True
    running = [asyncio.create_task(adapter.submit(revocation(network.channel, number))) for number in range(2)]
    await until(lambda: own.endorsements == 2)
    with pytest.raises(LedgerUnavailable) as error:
        await adapter.submit(revocation(network.channel, 3))
    assert error.value.code == "ledger-overloaded"
    own.frozen = False
    assert [commit.repeated for commit in await asyncio.gather(*running)] == [False, False]
    assert not (await adapter.submit(revocation(network.channel, 3))).repeated


# -- Other peers -------------------------------------------------------------------------------------------------------


def away(peer: SimulatedPeer) -> None:
    peer.says = (grpc.StatusCode.UNAVAILABLE, "connection refused")


def without_chaincode(peer: SimulatedPeer) -> None:
    peer.says = (grpc.StatusCode.ABORTED, "could not launch chaincode consilo_1: connection refused")


def unknown_client(peer: SimulatedPeer) -> None:
    peer.says = (grpc.StatusCode.FAILED_PRECONDITION, "access denied: channel [test] creator org [HospitalA]")


def frozen(peer: SimulatedPeer) -> None:
    peer.frozen = True


@pytest.mark.parametrize(
    "harm", [away, without_chaincode, unknown_client, frozen], ids=["away", "chaincode", "denied", "frozen"]
)
async def test_the_next_peer_is_asked_while_the_own_does_not_do_its_part(
    network: Network, harm: Callable[[SimulatedPeer], None]
) -> None:
    adapter = await ready(network.adapter())
    own, other = network.peers["HospitalA"], network.peers["HospitalB"]
    harm(own)
    assert not (await adapter.submit(revocation(network.channel, 1))).repeated
    assert other.endorsements == 1
    own.says, own.frozen = None, False
    await until(lambda: str(adapter._peers.best()).startswith("the peer of HospitalA "))
    asked = own.endorsements
    assert not (await adapter.submit(revocation(network.channel, 2))).repeated
    assert own.endorsements == asked + 1


async def test_with_no_peer_it_waits_until_one_is_back(network: Network) -> None:
    adapter = await ready(network.adapter())
    for peer in network.peers.values():
        await peer.stop()
    waiting = asyncio.create_task(adapter.submit(revocation(network.channel, 1)))
    await until(lambda: len(adapter._peers.problems()) == 3)
    await network.peers["HospitalC"].start()
    assert not (await waiting).repeated


async def test_what_an_operator_must_mend_is_told_at_once(network: Network) -> None:
    adapter = await ready(network.adapter("HospitalA", transaction_timeout_seconds=600))
    unknown_client(network.peers["HospitalA"])
    with pytest.raises(LedgerUnavailable, match="must be one of MSP HospitalA, and that MSP a member") as error:
        async with asyncio.timeout(WITHIN_SECONDS):
            await adapter.submit(revocation(network.channel, 1))
    assert error.value.code == "ledger-misconfigured"


async def after_a_registration_that_only_the_own_peer_has(network: Network, adapter: FabricAdapter) -> Transaction:
    """A transaction that the peers of HospitalB and HospitalC do not admit yet; the replica has what it needs."""
    height = (await adapter.head()).height
    network.peers["HospitalB"].has_caught_up = network.peers["HospitalC"].has_caught_up = False
    network.channel.add(network.channel.endorsed(registration(network.channel, "HospitalB"), time=START_MS))
    network.spread()
    await adapter.wait_after(height)
    return requests_on(network.channel).revoke_member("HospitalB/silo")
