"""Processes that end at the worst moment: with the work done, and not yet on the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import Trial, running_system
from tests.faults.proofs import log_lines
from tests.faults.proxied import behind_a_proxy
from tests.faults.proxy import HONEST, Asked, Treatment
from tests.faults.schedule import WORKER, Fault, Injector


@pytest.mark.parametrize(
    ("service", "member"), [("aggregator", "hospitala/aggregator"), ("silo-HospitalB", "hospitalb/silo")]
)
async def test_a_process_killed_between_its_upload_and_the_record_of_it_records_it_once_when_it_is_back(
    tmp_path: Path, service: str, member: str
) -> None:
    async with behind_a_proxy(tmp_path) as (trial, proxy):
        hold = asyncio.Event()
        held: list[str] = []

        def script(asked: Asked) -> Treatment:
            if asked.method == "PUT" and f"/{member}/" in f"/{asked.key}" and not held:
                held.append(asked.key)
                return Treatment(hold=hold)
            return HONEST

        proxy.script = script
        await trial.begin("moment", rounds=3)
        async with asyncio.timeout(30):
            await proxy.held.wait()
        assert (tmp_path / "objects" / held[0]).is_file(), "the store has it"
        await trial.service(service).kill()
        hold.set()
        await trial.restart(service)

        await trial.prove("moment")

        recorded = await keys_on_the_ledger(trial, "moment")
        assert held[0] not in recorded, "an orphan"
        assert max(recorded.values()) == 1


async def keys_on_the_ledger(trial: Trial, run: str) -> Counter[str]:
    """The objects that updates and globals of a run name."""
    party = await trial.party()
    found: Counter[str] = Counter()
    for number in range(trial.runs[run]):
        summary = await party.gateway.round(run, number)
        assert summary.model is not None
        assert summary.opening.attempt == 1
        found.update([summary.model.artifact.key, *(update.artifact.key for update in summary.updates)])
    return found


@pytest.mark.parametrize("victim", ["worker of silo-HospitalA", "silo-HospitalA"])
async def test_a_training_that_is_killed_in_its_middle_is_done_again_in_the_same_attempt(
    tmp_path: Path, victim: str
) -> None:
    silo = victim.removeprefix(WORKER)
    async with running_system(tmp_path) as trial:
        await trial.begin("training", rounds=2, milliseconds=1500)
        await trial.until_silo(silo, "training")
        injector = Injector(trial, iter(()))
        assert await injector.kill(Fault(victim, 0, 0)) == victim

        await injector.until_finished("training", 0, injector.kill)

        await trial.prove("training")
        recorded = await keys_on_the_ledger(trial, "training")
        assert set(recorded.values()) == {1}
        trainings = [line["round"] for line in log_lines(trial.service(silo).log) if line["event"] == "training"]
        assert trainings == [0, 0, 1]


@pytest.mark.slow
async def test_a_gateway_that_is_away_for_twenty_seconds_is_waited_for(tmp_path: Path) -> None:
    async with running_system(tmp_path) as trial:
        await trial.begin("away", rounds=4, milliseconds=500)
        await trial.until_global("away", 1)
        await trial.service("ledger").kill()
        await asyncio.sleep(20)
        trial.check_processes(but="ledger")
        await trial.restart("ledger")

        await trial.prove("away")

        for service in ("aggregator", "verifier", "silo-HospitalA", "silo-HospitalB"):
            events = [line["event"] for line in log_lines(trial.service(service).log)]
            assert "waiting" in events, "it says what it waits for"
            assert events.count("waiting") < 10, "it does not fill the disk with that"
            assert "back" in events
