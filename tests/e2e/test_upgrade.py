"""Charts that are upgraded in the middle of a run: their pods are replaced, no round is lost."""

from __future__ import annotations

import pytest

from k8s.consortium import install_fabric, install_organisation
from tests.e2e.harness import ROLE, ROUND_SECONDS, Stopwatch, Trial

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900, func_only=True)]

ROUNDS = 12
LOCAL_EPOCHS = 400


async def test_a_run_goes_on_while_an_organisations_chart_is_upgraded(trial: Trial) -> None:
    first, last = trial.organisations[0], trial.organisations[-1]
    before = await identities(trial, first.namespace)
    async with trial.running("upgrade", rounds=ROUNDS, at=last, local_epochs=LOCAL_EPOCHS) as run:
        await run.until_global(2, seconds=2 * ROUND_SECONDS)
        watch = Stopwatch()
        await install_organisation(trial.cluster, first, trial.image, {"podAnnotations": {"consilo.io/upgraded": "1"}})
        trial.figures.note("Upgrade in the middle of a run", f"helm/consilo of {first.name}", f"{watch.seconds:.1f} s")
        after = await identities(trial, first.namespace)
        assert before.keys() == after.keys()
        assert not before.items() & after.items(), "every pod is another one"
        await trial.prove(run, rounds=ROUNDS)


async def test_a_run_goes_on_while_the_networks_chart_is_upgraded(trial: Trial) -> None:
    last = trial.organisations[-1]
    async with trial.running("upgrade-fabric", rounds=ROUNDS, at=last, local_epochs=LOCAL_EPOCHS) as run:
        await run.until_global(2, seconds=2 * ROUND_SECONDS)
        watch = Stopwatch()
        await install_fabric(trial.cluster, trial.image, {"podAnnotations": {"consilo.io/upgraded": "1"}})
        trial.figures.note("Upgrade in the middle of a run", "helm/fabric", f"{watch.seconds:.1f} s")
        await trial.prove(run, rounds=ROUNDS)


async def identities(trial: Trial, namespace: str) -> dict[str, str]:
    """Each workload's pod, by what it is for; of those that the release has made."""
    pods = await trial.pods(namespace, f"app.kubernetes.io/instance=consilo,{ROLE}!=cli")
    return {pod["metadata"]["labels"][ROLE]: pod["metadata"]["uid"] for pod in pods}
