"""Any process of a consortium is killed with -9 at random moments: no round is lost, nothing is recorded twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric.names import chaincode_name, peer_name
from tests.fabric.harness import GATEWAYS, ORGANISATIONS, FabricTrial, running_consortium
from tests.faults.schedule import ROUND_SECONDS, Fault, new_seed, schedule

pytestmark = pytest.mark.fabric

NETWORK = (
    "orderer0",
    *(peer_name(msp) for msp in ORGANISATIONS),
    *(chaincode_name(msp, 1) for msp in ORGANISATIONS),
)
MEMBERS = ("aggregator", "verifier", "silo-HospitalB", "store-HospitalB")
ROUNDS = 6


async def kill(directory: Path, *, count: int, victims: tuple[str, ...]) -> None:
    faults = schedule(new_seed(), victims=victims, after_seconds=1.0, for_seconds=(0.0, 1.5))
    killed: Counter[str] = Counter()
    async with running_consortium(directory) as trial:
        while killed.total() < count:
            run = f"faulty-{killed.total()}"
            await trial.begin(run, rounds=ROUNDS)
            killed += await killed_during(trial, run, faults, count - killed.total())
            await trial.prove(run)
            print(f"{run} is whole; killed so far: {dict(sorted(killed.items()))}", flush=True)


async def killed_during(trial: FabricTrial, run: str, faults: Iterator[Fault], most: int) -> Counter[str]:
    """Kill one after the other until the run has finished, or so many were; then wait for the run."""
    killed: Counter[str] = Counter()
    finished = asyncio.create_task(trial.until_finished(run, seconds=ROUND_SECONDS * ROUNDS))
    try:
        while killed.total() < most:
            fault = next(faults)
            done, _ = await asyncio.wait([finished], timeout=fault.after_seconds)
            if done:
                break
            await trial.kill(fault.victim)
            await asyncio.wait([finished], timeout=fault.for_seconds)
            await trial.start(fault.victim)
            killed[fault.victim] += 1
        await finished
    finally:
        finished.cancel()
        await asyncio.gather(finished, return_exceptions=True)
    return killed


async def test_runs_end_whole_when_any_part_of_the_network_is_killed_at_any_moment(tmp_path: Path) -> None:
    await kill(tmp_path, count=10, victims=(*NETWORK, *GATEWAYS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_runs_end_whole_when_a_hundred_processes_of_a_consortium_are_killed(tmp_path: Path) -> None:
    await kill(tmp_path, count=100, victims=(*NETWORK, *GATEWAYS, *MEMBERS))
