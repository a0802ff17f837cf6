"""The consortium as it is installed: a run through it to its end, its verification, the charts' own tests, its size."""

from __future__ import annotations

import pytest

from k8s.cluster import COMMAND_SECONDS
from k8s.commands import call
from k8s.organisations import CONSILO, FABRIC
from services.local.together import together
from tests.e2e.harness import Stopwatch, Trial

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900, func_only=True)]

ROUNDS = 10


async def test_memory_of_every_pod_before_anything_is_done(trial: Trial) -> None:
    used = await trial.memory()
    assert used
    for pod, megabytes in used.items():
        trial.figures.note("Memory per pod, idle", pod, f"{megabytes:.0f} MB")


async def test_a_run_goes_to_its_end_and_holds(trial: Trial) -> None:
    last = trial.organisations[-1]
    watch = Stopwatch()
    async with trial.running("first", rounds=ROUNDS, at=last) as run:
        trial.figures.note("A run", "proposed and approved", f"{watch.seconds:.1f} s")
        await trial.prove(run, rounds=ROUNDS)
        median = run.rounds.median_seconds
        assert median is not None
        trial.figures.note("A run", "a round of digits_linear, 3 silos (median)", f"{median:.2f} s")


@pytest.mark.parametrize("release", [FABRIC, CONSILO])
async def test_the_charts_own_tests_pass(trial: Trial, release: str) -> None:
    namespaces = [FABRIC] if release == FABRIC else [each.namespace for each in trial.organisations]
    watch = Stopwatch()
    await together(
        call(
            *("helm", "test", release, "--namespace", namespace, "--logs", "--timeout", "300s"),
            timeout_seconds=300 + COMMAND_SECONDS,
        )
        for namespace in namespaces
    )
    trial.figures.note("helm test", f"{release} in {len(namespaces)} namespaces", f"{watch.seconds:.1f} s")
