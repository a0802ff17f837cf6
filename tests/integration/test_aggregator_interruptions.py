"""The aggregator when processes are killed, told to end, doubled, suspended, or cut off from others."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from consilo.protocol.records import GlobalModel
from tests.integration.consortium import Consortium, Service, running_consortium, until_true
from tests.integration.trial import SILOS, Trial, Weights, started

MEMBER = "HospitalA/aggregator-1"
OTHER = "HospitalB/aggregator-2"


@asynccontextmanager
async def running(consortium: Consortium, member: str, **settings: object) -> AsyncIterator[Service]:
    """An aggregator, started while everything else goes on."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, consortium.service("aggregator", member, **settings))


async def train_rounds(trial: Trial, rounds: int) -> dict[int, Weights]:
    """Act for all silos until the run is over; what each round's global must be."""
    expected = {}
    for round_number in range(rounds):
        await trial.until_open(round_number)
        await trial.train_all()
        expected[round_number + 1] = trial.average(SILOS)
        await trial.until_global(round_number + 1)
    return expected


async def globals_of(trial: Trial) -> list[GlobalModel]:
    """All globals but the initial one."""
    operator = await trial.party("HospitalA/operator")
    summaries = [await operator.gateway.round(trial.run, number) for number in range(trial.specification.rounds)]
    models = [summary.model for summary in summaries]
    return [model for model in models if model is not None]


async def test_killed_at_random_and_started_again_it_makes_the_same_run(consortium: Consortium, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chooser, kills, rounds = random.Random(seed), 0, 4
    async with started(consortium, tmp_path, elements=500_000, rounds=rounds, aggregators=[MEMBER]) as trial:
        silos = asyncio.create_task(train_rounds(trial, rounds))
        while not silos.done():
            async with running(consortium, MEMBER, runs=[trial.run]) as aggregator:
                # Longer and longer, so that it comes to an end on a slow machine too.
                await asyncio.wait({silos}, timeout=chooser.uniform(0, 0.2 + 0.1 * kills))
                aggregator.kill()
                kills += 1
        expected = await silos
        models = await globals_of(trial)
        assert [model.round for model in models] == list(range(1, rounds + 1)), f"seed {seed}"
        for model in models:
            assert model.attempt == 1, f"seed {seed}"
            np.testing.assert_array_equal(await trial.fetch(model), expected[model.round], f"seed {seed}")
        assert (await trial.status()).state == "finished"
    assert kills > 1, "every round was made by the first process"


async def test_told_to_end_during_a_transfer_it_ends_at_once_and_another_goes_on(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, aggregators=[MEMBER]) as trial:
        async with running(consortium, MEMBER) as aggregator:
            await trial.until_open(0)
            await trial.train_all(SILOS[:2])
            last = await trial.put(SILOS[2], trial.random())
            with consortium.store.suspended():
                await trial.train(SILOS[2], artifact=last)
                await trial.until(lambda status: status.attempt is not None and status.attempt.selection is not None)
                await until_true(lambda: _connections(aggregator) >= 4, "transfers to be open")
                began = time.monotonic()
                assert await asyncio.to_thread(aggregator.end, signal.SIGTERM) == 0
                assert time.monotonic() - began < 3
            assert aggregator.events("ended")
        async with running(consortium, MEMBER):
            assert len((await trial.until_global(1)).inputs) == 3


def _connections(service: Service) -> int:
    """How many sockets a process has open."""
    links = list(Path(f"/proc/{service.process.pid}/fd").iterdir())
    return sum(str(link.readlink()).startswith("socket:") for link in links if link.is_symlink())


async def test_it_blames_nobody_when_no_update_at_all_can_be_had(consortium: Consortium, tmp_path: Path) -> None:
    limits = {"compute__input_attempts": 2, "api__transfer_timeout_seconds": 0.3}
    async with (
        started(consortium, tmp_path, aggregators=[MEMBER]) as trial,
        running(consortium, MEMBER, **limits) as aggregator,
    ):
        await trial.until_open(0)
        await trial.train_all(SILOS[:2])
        last = await trial.put(SILOS[2], trial.random())
        with consortium.store.suspended():
            await trial.train(SILOS[2], artifact=last)
            await until_true(
                lambda: bool(aggregator.events("no update at all can be had; trying again")), "the warning"
            )
        model = await trial.until_global(1)
        assert model.attempt == 1
        assert len(model.inputs) == 3
        assert aggregator.events("transfer interrupted")


async def test_two_aggregators_at_once_make_one_run(consortium: Consortium, tmp_path: Path) -> None:
    rounds = 3
    async with (
        started(consortium, tmp_path, rounds=rounds, aggregators=[MEMBER, OTHER]) as trial,
        running(consortium, MEMBER, standby_seconds=0) as first,
        running(consortium, OTHER, standby_seconds=0) as second,
    ):
        expected = await train_rounds(trial, rounds)
        models = await globals_of(trial)
        assert [(model.round, model.attempt) for model in models] == [(1, 1), (2, 1), (3, 1)]
        for model in models:
            np.testing.assert_array_equal(await trial.fetch(model), expected[model.round])
        for service in (first, second):
            assert service.end() == 0
            assert not service.events("failed"), "to be second is no failure"


async def test_one_that_stands_by_takes_over_only_when_the_first_is_away(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with (
        started(consortium, tmp_path, rounds=2, aggregators=[MEMBER, OTHER]) as trial,
        running(consortium, OTHER, standby_seconds=0.4) as second,
    ):
        await trial.until_open(0)
        await trial.train_all()
        assert (await trial.until_global(1)).published_by == OTHER
        operator = await trial.party("HospitalA/operator")
        summary = await operator.gateway.round(trial.run, 0)
        assert summary.model is not None
        assert summary.selection is not None
        assert summary.model.published_at - summary.selection.closed_at >= 400
        second.kill()
        async with running(consortium, MEMBER), running(consortium, OTHER, standby_seconds=25) as patient:
            await trial.until_open(1)
            await trial.train_all()
            assert (await trial.until_global(2)).published_by == MEMBER
            assert not patient.events("updates aggregated")


async def test_it_goes_on_after_the_ledger_service_was_killed(
    tmp_path: Path,
) -> None:
    (tmp_path / "consortium").mkdir()
    with ExitStack() as stack:
        consortium = await asyncio.to_thread(stack.enter_context, running_consortium(tmp_path / "consortium"))
        async with running(consortium, MEMBER) as aggregator:
            async with started(consortium, tmp_path, rounds=2, aggregators=[MEMBER]) as trial:
                await trial.until_open(0)
                await trial.train_all()
                await trial.until_global(1)
                await asyncio.to_thread(consortium.restart_ledger)
                await trial.until_open(1)
                await trial.train_all()
                await trial.until_global(2)
            assert aggregator.events("event stream interrupted")
            assert aggregator.end(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("member", "told"),
    [("HospitalA/silo-1", "needs an identity of the role aggregator"), ("HospitalA/aggregator-9", "is not there")],
)
def test_it_says_why_it_cannot_start(consortium: Consortium, tmp_path: Path, member: str, told: str) -> None:
    if "silo" in member:
        consortium.identity(member)
    environment = {
        "CONSILO_AGGREGATOR_IDENTITY": str(consortium.identity_directory(member)),
        "CONSILO_AGGREGATOR_GATEWAY_URL": consortium.ledger.url,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "services.aggregator"],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert told in ended.stderr.decode()
    assert ended.stdout == b""


def test_processes_that_compute_what_others_recompute_do_not_load_torch() -> None:
    program = "import sys, services.aggregator.__main__, services.verifier.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
