"""A task that the operators install on a volume, and rounds of it with a model of a megabyte."""

from __future__ import annotations

import inspect
from typing import Any, Final

import pytest

from k8s.cluster import Manifest
from k8s.consortium import install_organisation
from k8s.organisations import CONSOLE, Organisation
from k8s.runs import form
from services.local.together import together
from tests.e2e import megabyte
from tests.e2e.harness import ROLE, Trial

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900, func_only=True)]

ROUNDS: Final = 20
CLAIM: Final = "tasks"
MOUNTED: Final = "/tasks"
INITIAL: Final = "/work/megabyte.safetensors"
MAKE_INITIAL: Final = f"""
import sys
from pathlib import Path
sys.path.insert(0, "/work")
from consilo.aggregation import schema_of, write_artifact
from megabyte import Megabyte
state = Megabyte({{}}).initial_state(1)
Path("{INITIAL}").unlink(missing_ok=True)
write_artifact(Path("{INITIAL}"), schema_of(state), state)
"""


async def test_rounds_of_a_task_that_was_installed_on_a_volume(trial: Trial) -> None:
    first, last = trial.organisations[0], trial.organisations[-1]
    await together(install_task(trial, organisation) for organisation in trial.organisations)
    await write(trial, first, CONSOLE, "/work/megabyte.py")
    await trial.cluster.execute(CONSOLE, "python", "-c", MAKE_INITIAL, namespace=first.namespace, timeout_seconds=60)
    agreed = form("megabyte", ROUNDS, {}, f'file = "{INITIAL}"')
    async with trial.running_form("megabyte", agreed, at=last) as run:
        await trial.prove(run, rounds=ROUNDS)
        median = run.rounds.median_seconds
        assert median is not None
        trial.figures.note("A run", "a round of 1 MB, 3 silos, no training (median)", f"{median:.2f} s")


async def install_task(trial: Trial, organisation: Organisation) -> None:
    """Put the task's source on a volume, and have the silo know it."""
    namespace = organisation.namespace
    (gateway, *_) = await trial.pods(namespace, f"{ROLE}=gateway")
    image = gateway["spec"]["containers"][0]["image"]
    await trial.cluster.apply(claim(), writer(image), namespace=namespace)
    wait = ("wait", "--for=condition=Ready", "pod/writer", "--timeout=90s")
    await trial.cluster.kubectl(*wait, namespace=namespace, timeout_seconds=120)
    await write(trial, organisation, "pod/writer", f"{MOUNTED}/megabyte.py")
    await trial.cluster.kubectl("delete", "pod", "writer", "--wait=false", namespace=namespace)
    await install_organisation(trial.cluster, organisation, trial.image, values(organisation))


async def write(trial: Trial, organisation: Organisation, target: str, path: str) -> None:
    """Write the task's source into a file of a pod."""
    source = inspect.getsource(megabyte)
    command = ("sh", "-c", 'cat > "$0"', path)
    await trial.cluster.execute(target, *command, namespace=organisation.namespace, given=source, timeout_seconds=60)


def values(organisation: Organisation) -> dict[str, Any]:
    """A silo with the volume, its tasks the usual one and the one on it."""
    silo = {
        "name": "silo",
        "tasks": {"digits_linear@1": "consilo.tasks.digits_linear:DigitsLinear", "megabyte@1": "megabyte:Megabyte"},
        "data": {"silo": "abc".index(organisation.name[-1]), "silos": 3},
        "dataVolume": {"existingClaim": CLAIM, "mountPath": MOUNTED},
        "settings": {"WORKER": {"environment": {"PYTHONPATH": f"/opt/consilo/app:{MOUNTED}"}}},
    }
    return {"silos": [silo]}


def claim() -> Manifest:
    """A small volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def writer(image: str) -> Manifest:
    """A pod that a restricted namespace admits, with the volume."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "writer",
                    "image": image,
                    "command": ["sleep", "infinity"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": CLAIM, "mountPath": MOUNTED}],
                }
            ],
            "volumes": [{"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
