"""A namespace in which Jobs train for a client that runs beside the tests: its rights, its data, its pod.

The client is the real one, with a kubeconfig that has the rights of the silo's role and no others. The pod that it
stands for owns its Jobs, and holds the task's directory on a volume that the Jobs mount too. Pods must be able to reach
the machine of the tests at `CONSILO_E2E_ADDRESS`, by default the address of the cluster's first node.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from k8s.cluster import Cluster, Manifest
from k8s.commands import CommandFailed
from tests.integration.client_play import Play, play
from tests.integration.consortium import Consortium, Service

DEADLINE_SECONDS: Final = 90.0
COMPONENT: Final = "app.kubernetes.io/component=training-job"

_TASK_FILE: Final = Path(__file__).parents[1] / "integration" / "client_tasks.py"
_RESTRICTED: Final = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_RULES: Final = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
]


class JobCluster:
    """The namespace.

    Attributes:
        image: of the Jobs.
        address: of this machine, as pods reach it.
        kubeconfig: with the rights of a silo that trains in Jobs.
    """

    def __init__(self, cluster: Cluster, namespace: str, image: str, address: str, kubeconfig: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.image = image
        self.address = address
        self.kubeconfig = kubeconfig

    @classmethod
    @asynccontextmanager
    async def made(cls, cluster: Cluster, namespace: str, image: str, directory: Path) -> AsyncIterator[JobCluster]:
        """Make the namespace for the block."""
        nodes = json.loads(await cluster.kubectl("get", "nodes", "--output=json"))["items"]
        internal = (a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
        address = os.environ.get("CONSILO_E2E_ADDRESS") or next(internal)
        found = cls(cluster, namespace, image, address, directory / "kubeconfig")
        await cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            }
        )
        try:
            await cluster.apply(*found._objects(), namespace=namespace)
            await found._write_kubeconfig()
            yield found
        finally:
            await cluster.kubectl("delete", "namespace", namespace, "--wait=true", timeout_seconds=DEADLINE_SECONDS)

    def _objects(self) -> list[Manifest]:
        metadata = {"name": "silo"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "silo"}
        return [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": _RULES},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", "name": "silo", "namespace": self.namespace}],
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
            },
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "tasks"},
                "data": {"client_tasks.py": _TASK_FILE.read_text()},
            },
        ]

    async def _write_kubeconfig(self, account: str = "silo") -> None:
        shown = json.loads(await self.cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
        token = (await self.cluster.kubectl("create", "token", account, namespace=self.namespace)).strip()
        shown["users"] = [{"name": "silo", "user": {"token": token}}]
        shown["contexts"][0]["context"]["user"] = "silo"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(shown))

    async def objects(self, kind: str) -> list[Manifest]:
        """Jobs, their pods or their Secrets."""
        return await self.cluster.list(kind, namespace=self.namespace, selector=COMPONENT)

    async def job(self) -> Manifest:
        """The one Job that is there."""
        (found,) = await self.objects("jobs")
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for what the cluster does."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not await condition():
            assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
            await asyncio.sleep(0.2)

    async def until_nothing_is_left(self) -> None:
        """Wait until there is no Job, no pod and no Secret of one."""

        async def nothing() -> bool:
            return not any([await self.objects(kind) for kind in ("jobs", "pods", "secrets")])

        await self.until(nothing, "Jobs, pods and Secrets to be gone")

    @asynccontextmanager
    async def silo(self, consortium: Consortium, directory: Path, name: str) -> AsyncIterator[SiloInCluster]:
        """A run, and the pod of its silo."""
        await self.cluster.apply(self._pod(name), namespace=self.namespace)
        await self.cluster.kubectl(
            *("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={DEADLINE_SECONDS:.0f}s"),
            namespace=self.namespace,
            timeout_seconds=DEADLINE_SECONDS,
        )
        pod = await self.cluster.get("pod", name, namespace=self.namespace)
        assert pod is not None
        async with play(consortium, directory, name) as p:
            silo = SiloInCluster(self, p, name, pod["metadata"]["uid"])
            await silo.call("mkdir", "-p", f"/data/{name}")
            try:
                yield silo
            finally:
                await self.cluster.kubectl(
                    *("delete", "pod", name, "--grace-period=1", "--ignore-not-found"), namespace=self.namespace
                )
                await self.until_nothing_is_left()

    def _pod(self, name: str) -> Manifest:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "silo",
                        "image": self.image,
                        "command": ["python", "-c", "import signal; signal.sigwait({signal.SIGTERM})"],
                        "securityContext": _RESTRICTED,
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        }


class SiloInCluster:
    """A silo whose client runs here, and whose Jobs run in the cluster, on a volume that its pod has too."""

    def __init__(self, cluster: JobCluster, p: Play, name: str, uid: str) -> None:
        self.cluster = cluster
        self.p = p
        self.name = name
        self._uid = uid
        with socket.socket() as free:
            free.bind((cluster.address, 0))
            self._port = free.getsockname()[1]

    @contextmanager
    def client(self, **settings: Any) -> Iterator[Service]:
        """The client; at the same address each time."""
        job = {
            "namespace": self.cluster.namespace,
            "pod_name": self.name,
            "pod_uid": self._uid,
            "pod_address": self.cluster.address,
            "host": self.cluster.address,
            "port": self._port,
            "image": self.cluster.image,
            "resources": json.dumps({"requests": {"cpu": "0", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}),
            "volumes": json.dumps(
                [
                    {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "tasks", "configMap": {"name": "tasks"}},
                ]
            ),
            "mounts": json.dumps(
                [{"name": "data", "mountPath": "/data"}, {"name": "tasks", "mountPath": "/opt/tasks"}]
            ),
            "poll_seconds": 0.5,
            "kubeconfig": self.cluster.kubeconfig,
        }
        values = {
            "trainer__mode": "job",
            **{f"trainer__job__{name}": value for name, value in job.items()},
            "tasks": json.dumps({"watched@1": "client_tasks:Watched"}),
            "data": json.dumps({"directory": f"/data/{self.name}"}),
            "worker__environment": json.dumps({"PYTHONPATH": "/opt/consilo/app:/opt/tasks"}),
            **settings,
        }
        with self.p.client(**values) as service:
            yield service

    async def call(self, *command: str) -> str:
        """Run a command in the silo's pod."""
        return await self.cluster.cluster.execute(
            self.name, *command, namespace=self.cluster.namespace, timeout_seconds=30
        )

    async def hold(self) -> None:
        """From now on trainings do not end."""
        await self.call("touch", f"/data/{self.name}/hold")

    async def release(self) -> None:
        """Let trainings end."""
        await self.call("rm", f"/data/{self.name}/hold")

    async def lines(self, file: str) -> list[str]:
        """What the task noted."""
        try:
            return (await self.call("cat", f"/data/{self.name}/{file}")).splitlines()
        except CommandFailed:
            return []

    async def trainings(self, count: int) -> None:
        """Wait until so many trainings have begun."""

        async def begun() -> bool:
            return len(await self.lines("trainings")) >= count

        await self.cluster.until(begun, f"{count} trainings")
