"""Processes of the network that are killed or frozen in the middle of a run: it goes on by itself and ends whole."""

from __future__ import annotations

import time

import pytest

from tests.fabric.harness import GATEWAYS, report
from tests.fabric.shared import Shared, shared

__all__ = ["shared"]

TRIED_AGAIN = "a transaction is tried again"

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("msp", ["HospitalB", "HospitalA"])
async def test_a_run_goes_on_while_a_peer_is_dead_and_ends_whole(shared: Shared, msp: str) -> None:
    run = f"peer-of-{msp.lower()}"
    async with shared.trial() as trial:
        await trial.begin(run, rounds=6)
        await trial.until_global(run, 1)
        await trial.network.kill_peer(msp)
        started = time.monotonic()
        await trial.until_global(run, 2)
        report(f"peer of {msp} killed: next global", time.monotonic() - started)
        await trial.until_global(run, 3)
        await trial.network.start_peer(msp)

        await trial.prove(run)

        await trial.until_own_peer_is_followed(msp)


@pytest.mark.slow
async def test_a_run_goes_on_while_a_peer_stands_still_for_twenty_seconds(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("frozen", rounds=12, milliseconds=1600)
        await trial.until_global("frozen", 1)
        trial.network.freeze("peer-HospitalB")
        frozen_at = time.monotonic()
        await trial.until_global("frozen", 2)
        report("peer of HospitalB frozen: next global", time.monotonic() - frozen_at)
        status = await trial.until("frozen", lambda _: time.monotonic() - frozen_at >= 20)
        trial.network.thaw("peer-HospitalB")
        assert status.latest is not None
        assert status.latest.round >= 5, "it went on"

        await trial.prove("frozen")

        await trial.until_own_peer_is_followed("HospitalB")


async def test_a_run_goes_on_when_the_orderer_is_back(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("orderer", rounds=5)
        await trial.until_global("orderer", 1)
        await trial.network.kill_orderer("orderer0")
        killed_at, tries = time.monotonic(), sum(len(trial.lines(each, TRIED_AGAIN)) for each in GATEWAYS)
        height = await trial.settled_height()
        await trial.until_logged(GATEWAYS, TRIED_AGAIN, since=tries)
        started = time.monotonic()
        await trial.network.start_orderer("orderer0")
        report(f"orderer away for {started - killed_at:.1f} s: listening", time.monotonic() - started)
        await trial.until_higher_than(height)
        report("orderer: first block after its start", time.monotonic() - started)

        await trial.prove("orderer")


async def test_a_run_goes_on_while_a_chaincode_server_is_dead_and_ends_whole(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("chaincode", rounds=6)
        await trial.until_global("chaincode", 1)
        await trial.network.kill_chaincode("HospitalA")
        started = time.monotonic()
        await trial.until_global("chaincode", 2)
        report("chaincode server of HospitalA killed: next global", time.monotonic() - started)
        await trial.until_global("chaincode", 3)
        await trial.network.start_chaincode("HospitalA")

        await trial.prove("chaincode")

        await trial.until_own_peer_is_followed("HospitalA")
