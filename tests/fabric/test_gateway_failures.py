"""What a gateway does when parts of a real Fabric network are killed or frozen: another peer, another try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.port import LedgerUnavailable
from tests.fabric.gateways import (
    BEGINNING,
    OTHER,
    OWN,
    WITHIN_SECONDS,
    Gateways,
    best,
    opened,
    running_gateways,
    until,
)

pytestmark = [pytest.mark.fabric, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with running_gateways(tmp_path_factory.mktemp("gateways")) as made:
        yield made


@pytest_asyncio.fixture
async def adapter(gateways: Gateways) -> AsyncIterator[FabricAdapter]:
    """HospitalA's gateway."""
    async with opened(gateways.settings()) as made:
        yield made


async def test_own_peer_killed_another_is_asked_until_it_is_back(gateways: Gateways, adapter: FabricAdapter) -> None:
    await gateways.network.kill_peer(OWN)
    try:
        commit = await adapter.submit(gateways.revocation())
        assert not commit.repeated
        assert best(adapter) == OTHER
        await adapter.check()
    finally:
        await gateways.network.start_peer(OWN)
    await until(lambda: best(adapter) == OWN)
    assert not (await adapter.submit(gateways.revocation())).repeated


async def test_own_peer_frozen_another_is_asked_until_it_is_back(gateways: Gateways) -> None:
    async with opened(gateways.settings(endorse_timeout_seconds=4.0, evaluate_timeout_seconds=1.0)) as adapter:
        gateways.network.freeze(f"peer-{OWN}")
        try:
            commit = await adapter.submit(gateways.revocation())
            assert not commit.repeated
            assert best(adapter) == OTHER
        finally:
            gateways.network.thaw(f"peer-{OWN}")
        await until(lambda: best(adapter) == OWN)
        assert (await adapter.submit(gateways.revocation())).head.height > commit.head.height


async def test_own_chaincode_killed_another_peer_is_asked(gateways: Gateways, adapter: FabricAdapter) -> None:
    await gateways.network.kill_chaincode(OWN)
    try:
        assert not (await adapter.submit(gateways.revocation())).repeated
        assert best(adapter) == OTHER
        (problem,) = adapter._peers.problems()
        assert "cannot reach its server of chaincode consilo" in problem.advice
    finally:
        await gateways.network.start_chaincode(OWN)
    await until(lambda: best(adapter) == OWN)


async def test_what_an_orderer_loses_is_handed_in_again(gateways: Gateways) -> None:
    async with opened(gateways.settings(commit_timeout_seconds=1.0)) as adapter:
        before = await adapter.end()
        transactions = [gateways.revocation() for _ in range(12)]
        running = [asyncio.create_task(adapter.submit(each)) for each in transactions[:6]]
        await gateways.network.kill_orderer("orderer0")
        running += [asyncio.create_task(adapter.submit(each)) for each in transactions[6:]]
        try:
            await asyncio.wait(running, timeout=1.0)  # some have tried in vain
        finally:
            await gateways.network.start_orderer("orderer0")
        async with asyncio.timeout(WITHIN_SECONDS):
            commits = await asyncio.gather(*running)
        assert [commit.transaction for commit in commits] == [each.id for each in transactions]
        events = [event.event.transaction for event in await adapter.events(before, 1000)]
        assert sorted(events) == sorted(each.id for each in transactions)


async def test_with_all_peers_away_it_says_so_and_comes_back(gateways: Gateways) -> None:
    async with opened(gateways.settings(peers=(OWN,), transaction_timeout_seconds=1.0)) as adapter:
        height = (await adapter.head()).height
        await gateways.network.kill_peer(OWN)
        try:
            with pytest.raises(LedgerUnavailable, match="it cannot be reached: start the peer"):
                await adapter.submit(gateways.revocation())
            with pytest.raises(LedgerUnavailable, match="it cannot be reached: start the peer"):
                await adapter.check()
            assert (await adapter.head()).height == height
        finally:
            await gateways.network.start_peer(OWN)
        await until(lambda: best(adapter) == OWN)
    async with opened(gateways.settings(peers=(OWN,))) as adapter:
        await adapter.submit(gateways.revocation())


async def test_without_a_majority_it_names_who_is_away_and_goes_on_reading(gateways: Gateways) -> None:
    others = [each.msp for each in gateways.network.organisations if each.msp != OWN]
    async with opened(gateways.settings(transaction_timeout_seconds=1.0)) as adapter:
        await asyncio.gather(*map(gateways.network.kill_peer, others))
        try:
            with pytest.raises(LedgerUnavailable, match="too few organisations' peers endorse"):
                await adapter.submit(gateways.revocation())
            await adapter.check()
            assert (await adapter.events(BEGINNING, 10)) != []
        finally:
            await asyncio.gather(*map(gateways.network.start_peer, others))
    async with opened(gateways.settings()) as adapter:
        assert not (await adapter.submit(gateways.revocation())).repeated
