"""Every kind of pod, killed in the middle of a run: the run goes on by itself, loses no round, and holds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from k8s.organisations import FABRIC
from tests.e2e.harness import ROLE, ROUND_SECONDS, Stopwatch, Trial

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600, func_only=True)]

ROUNDS = 10
LOCAL_EPOCHS = 600
"""So many that a round takes long enough to be hit in the middle."""


@dataclass(frozen=True)
class Victim:
    """Pods that are killed at once.

    Attributes:
        name: for people.
        namespace: that they are in.
        selector: their labels.
        watched_from: index of the organisation from whose gateway the run is followed; never one that is harmed.
    """

    name: str
    namespace: str
    selector: str
    watched_from: int = 1


VICTIMS = [
    Victim("gateway", "hospital-a", f"{ROLE}=gateway"),
    Victim("aggregator", "hospital-a", f"{ROLE}=aggregator"),
    Victim("verifier", "hospital-c", f"{ROLE}=verifier"),
    Victim("silo", "hospital-b", f"{ROLE}=silo"),
    Victim("store", "hospital-a", f"{ROLE}=store"),
    Victim("chaincode", FABRIC, f"{ROLE}=chaincode,consilo.io/organisation=hospital-a"),
    Victim("peer", FABRIC, f"{ROLE}=peer,consilo.io/organisation=hospital-a"),
    Victim("orderer", FABRIC, f"{ROLE}=orderer,consilo.io/node=orderer-0"),
    Victim("all orderers", FABRIC, f"{ROLE}=orderer"),
]


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.name.replace(" ", "-"))
async def test_a_run_goes_on_after_a_kill_and_ends_whole(trial: Trial, victim: Victim) -> None:
    watched_from = trial.organisations[victim.watched_from]
    name = f"kill-{victim.name}".replace(" ", "-")
    async with trial.running(name, rounds=ROUNDS, at=watched_from, local_epochs=LOCAL_EPOCHS) as run:
        await run.until_global(2, seconds=2 * ROUND_SECONDS)
        killed = await trial.pods(victim.namespace, victim.selector)
        assert killed, f"no {victim.name} to kill"
        watch = Stopwatch()
        await trial.kill(victim.namespace, victim.selector)
        newest = run.newest
        uids = frozenset(str(pod["metadata"]["uid"]) for pod in killed)
        await trial.until_ready(victim.namespace, victim.selector, but=uids, seconds=120)
        ready = watch.seconds
        # The round that was open may have been past the point where it needed whoever was killed; the next one is not.
        await run.until_global(newest + 2, seconds=2 * ROUND_SECONDS)
        went_on = run.seen_at[newest + 2] - watch.started
        await trial.prove(run, rounds=ROUNDS)
        trial.figures.note(
            "Recovery from a kill",
            victim.name,
            f"ready again after {ready:.1f} s; the next whole round was over after {went_on:.1f} s, where one takes "
            f"{run.rounds.median_seconds:.1f} s",
        )
