"""Whether one pod of the cluster comes to a port of another: tried by a connection, from inside a real pod."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from k8s.cluster import Cluster, Manifest
from tests.e2e.harness import Trial

OUTSIDE: Final = "consilo-e2e-outside"
"""A namespace that belongs to nobody of the consortium: what is beyond it, for a pod that must not come there."""

OUTSIDE_PORT: Final = 8000
TRY_SECONDS: Final = 3.0

_TRY: Final = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def comes_to(target):
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=float(sys.argv[1])).close()
    except OSError as error:
        return repr(error)
    return "open"

targets = sys.argv[2:]
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(comes_to, targets)))))
"""


async def reachable(trial: Trial, namespace: str, selector: str, targets: Sequence[str]) -> dict[str, bool]:
    """Which of these `host:port` a pod comes to."""
    pod = await trial.pod(namespace, selector)
    said = await trial.cluster.execute(
        *(f"pod/{pod}", "python", "-c", _TRY, str(TRY_SECONDS), *targets),
        namespace=namespace,
        timeout_seconds=60,
    )
    answers: dict[str, str] = json.loads(said)
    return {target: answer == "open" for target, answer in answers.items()}


def outsider(image: str, pull_policy: str) -> list[Manifest]:
    """A namespace with a pod that listens, under no policy of anybody."""
    labels = {"app": "outside"}
    container = {
        "name": "outside",
        "image": image,
        "imagePullPolicy": pull_policy,
        "command": ["python", "-m", "http.server", str(OUTSIDE_PORT)],
        "readinessProbe": {"tcpSocket": {"port": OUTSIDE_PORT}, "periodSeconds": 1},
    }
    in_namespace = {"name": "outside", "namespace": OUTSIDE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OUTSIDE}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**in_namespace, "labels": labels},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": in_namespace,
            "spec": {"selector": labels, "ports": [{"port": OUTSIDE_PORT}]},
        },
    ]


async def remove_outsider(cluster: Cluster) -> None:
    """Remove it."""
    await cluster.kubectl("delete", "namespace", OUTSIDE, "--ignore-not-found", "--wait", timeout_seconds=120)
