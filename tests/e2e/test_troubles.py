"""What is missing or away: a pod says so in its log and in its readiness, and goes on by itself when it is there."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest

from k8s.commands import CommandFailed
from k8s.consortium import copy_client, install_organisation
from k8s.organisations import FABRIC
from tests.e2e.harness import ROLE, ROUND_SECONDS, Stopwatch, Trial, is_ready

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600, func_only=True)]

NOTICE_SECONDS: Final = 90.0
"""For a pod to say what is wrong."""

RECOVERY_SECONDS: Final = 240.0
"""For it to go on: the kubelet brings a Secret to a pod that waits for it only now and then."""

ROUNDS: Final = 3
_READINESS: Final = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz", timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


async def test_a_secret_that_is_missing_is_named(trial: Trial) -> None:
    organisation = trial.organisations[1]
    namespace, selector = organisation.namespace, f"{ROLE}=gateway"
    await trial.cluster.kubectl("delete", "secret", organisation.client_secret, namespace=namespace)
    try:
        await trial.kill(namespace, selector)
        await until_logged(trial, namespace, selector, organisation.client_secret)
        assert not any(map(is_ready, await trial.pods(namespace, selector)))
    finally:
        await copy_client(trial.cluster, organisation)
    await until_all_ready(trial, namespace, selector, "a Secret that was missing")


async def test_a_gateway_says_that_its_peer_is_away(trial: Trial) -> None:
    organisation = trial.organisations[1]
    peer, selector = f"statefulset/peer-{organisation.name}", f"{ROLE}=gateway"
    await scale(trial, FABRIC, peer, 0)
    try:
        await until_told(trial, organisation.namespace, selector, 8080, f"peer-{organisation.name}")
    finally:
        await scale(trial, FABRIC, peer, 1)
    await until_all_ready(trial, organisation.namespace, selector, "a peer that was away")


async def test_a_silo_says_that_its_gateway_is_away(trial: Trial) -> None:
    organisation = trial.organisations[2]
    selector = f"{ROLE}=silo"
    await scale(trial, organisation.namespace, "deployment/consilo-gateway", 0)
    try:
        await until_told(trial, organisation.namespace, selector, 8070, "consilo-gateway")
    finally:
        await scale(trial, organisation.namespace, "deployment/consilo-gateway", 2)
    await until_all_ready(trial, organisation.namespace, selector, "a gateway that was away")


async def test_a_task_that_the_image_has_not_is_named_and_the_run_goes_on_once_it_is_there(trial: Trial) -> None:
    organisation, last = trial.organisations[1], trial.organisations[2]
    silo = {"name": "silo", "tasks": {"digits_linear@1": "no_such_module:Task"}, "data": {"silo": 1, "silos": 3}}
    await install_organisation(trial.cluster, organisation, trial.image, {"silos": [silo]})
    async with trial.running("no-such-task", rounds=ROUNDS, at=last) as run:
        await until_logged(trial, organisation.namespace, f"{ROLE}=silo", "no_such_module")
        assert run.newest == 0, "everybody is waited for"
        watch = Stopwatch()
        await install_organisation(trial.cluster, organisation, trial.image)
        await run.until_global(1, seconds=2 * ROUND_SECONDS)
        trial.figures.note("Goes on by itself after", "a task that was not there", f"{watch.seconds:.1f} s")
        await trial.prove(run, rounds=ROUNDS)


async def scale(trial: Trial, namespace: str, workload: str, replicas: int) -> None:
    """Have so many pods of a workload."""
    await trial.cluster.kubectl("scale", workload, f"--replicas={replicas}", namespace=namespace)


async def until_logged(trial: Trial, namespace: str, selector: str, text: str) -> dict[str, Any]:
    """Wait for a line of a pod's log that holds this, and is no information only; that line."""
    async with asyncio.timeout(NOTICE_SECONDS):
        while True:
            for line in await log_lines(trial, namespace, selector):
                if text in json.dumps(line) and line.get("level") not in {None, "info", "debug"}:
                    return line
            await asyncio.sleep(0.5)


async def log_lines(trial: Trial, namespace: str, selector: str) -> list[dict[str, Any]]:
    """The lines of the logs of these pods, those of containers that have just ended too."""
    found = []
    for pod in await trial.pods(namespace, selector):
        for further in ((), ("--previous",)):
            try:
                text = await trial.cluster.kubectl("logs", pod["metadata"]["name"], *further, namespace=namespace)
            except CommandFailed:  # it has not been started yet, or not twice
                continue
            found += [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return found


async def until_told(trial: Trial, namespace: str, selector: str, port: int, text: str) -> None:
    """Wait until the readiness of a pod that runs is 503, and says this."""
    async with asyncio.timeout(NOTICE_SECONDS):
        while True:
            pod = await trial.pod(namespace, selector)
            said = await trial.cluster.execute(
                f"pod/{pod}", "python", "-c", _READINESS, str(port), namespace=namespace, timeout_seconds=30
            )
            if said.startswith("503 ") and text in said:
                return
            await asyncio.sleep(0.5)


async def until_all_ready(trial: Trial, namespace: str, selector: str, what: str) -> None:
    """Wait until all of these pods are ready again, and note for how long."""
    watch = Stopwatch()
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            pods = await trial.pods(namespace, selector)
            if pods and all(map(is_ready, pods)):
                break
            await asyncio.sleep(0.5)
    trial.figures.note("Goes on by itself after", what, f"{watch.seconds:.1f} s")
