"""The cluster that KUBECONFIG names, through kubectl and helm. Starts processes."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from k8s.commands import CommandFailed, ProgramMissing, call, lines

Manifest = dict[str, Any]
"""One object of the Kubernetes API, as JSON has it."""

COMMAND_SECONDS: Final = 60.0
"""For a command that only asks, or hands something in."""

FIELD_MANAGER: Final = "consilo-demo"


class NoCluster(CommandFailed):
    """No cluster is named, or none answers."""


class Cluster:
    """Commands to one cluster.

    Args:
        timeout_seconds: for an installation, an upgrade or a removal to be complete.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds

    async def check(self) -> str:
        """Version of its API server.

        Raises:
            ProgramMissing: helm or kubectl is not installed.
            NoCluster: KUBECONFIG is not set, or names no cluster that answers.
        """
        if not os.environ.get("KUBECONFIG"):
            raise NoCluster("KUBECONFIG is not set: it names the cluster to use")
        await call("helm", "version", "--short", timeout_seconds=COMMAND_SECONDS)
        try:
            version = json.loads(await self.kubectl("version", "--output=json", "--request-timeout=10s"))
        except ProgramMissing:
            raise
        except CommandFailed as error:
            raise NoCluster(f"the cluster that KUBECONFIG names does not answer: {error.said}") from None
        return str(version["serverVersion"]["gitVersion"])

    async def kubectl(
        self,
        *arguments: str,
        namespace: str | None = None,
        given: str | None = None,
        timeout_seconds: float = COMMAND_SECONDS,
    ) -> str:
        """What kubectl says.

        Raises:
            CommandFailed: it cannot.
        """
        return await call(*_kubectl(namespace), *arguments, given=given, timeout_seconds=timeout_seconds)

    async def get(self, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """An object; None when there is none of that name.

        Raises:
            CommandFailed: kubectl cannot ask.
        """
        output = await self.kubectl("get", kind, name, "--ignore-not-found", "--output=json", namespace=namespace)
        found: Manifest | None = json.loads(output) if output.strip() else None
        return found

    async def list(self, kind: str, *, namespace: str, selector: str = "") -> list[Manifest]:
        """The objects of a kind with these labels.

        Raises:
            CommandFailed: kubectl cannot ask.
        """
        output = await self.kubectl("get", kind, f"--selector={selector}", "--output=json", namespace=namespace)
        found: list[Manifest] = json.loads(output)["items"]
        return found

    async def apply(self, *manifests: Manifest, namespace: str | None = None) -> None:
        """Make these objects, or bring those that are there into this state.

        Raises:
            CommandFailed: the API server does not take one of them.
        """
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        await self._apply("-", namespace, given)

    async def apply_file(self, file: Path, *, namespace: str | None = None) -> None:
        """The same with the objects of a file of YAML.

        Raises:
            CommandFailed: the API server does not take one of them.
        """
        await self._apply(str(file), namespace, None)

    async def _apply(self, file: str, namespace: str | None, given: str | None) -> None:
        await self.kubectl(
            *("apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--filename", file),
            namespace=namespace,
            given=given,
        )

    async def install(
        self, release: str, chart: Path, *, namespace: str, values: Sequence[Path], given: Mapping[str, Any]
    ) -> None:
        """Install a chart, or upgrade its release, and return when all of it is ready.

        Args:
            release: its name.
            chart: directory.
            namespace: that it goes into; made when it is not there.
            values: files.
            given: further values, which go before those of the files.

        Raises:
            CommandFailed: it was not ready in time, or the values are wrong.
        """
        files = [argument for file in values for argument in ("--values", str(file))]
        await call(
            *("helm", "upgrade", "--install", release, str(chart), "--namespace", namespace, "--create-namespace"),
            *(*files, "--values", "-", "--wait", "--wait-for-jobs", f"--timeout={self.timeout_seconds:.0f}s"),
            given=json.dumps(given),
            timeout_seconds=self.timeout_seconds + COMMAND_SECONDS,
        )

    async def uninstall(self, release: str, *, namespace: str) -> None:
        """Remove a release, if it is there, and return when its objects are gone.

        Raises:
            CommandFailed: it cannot be removed.
        """
        await call(
            *("helm", "uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait"),
            f"--timeout={self.timeout_seconds:.0f}s",
            timeout_seconds=self.timeout_seconds + COMMAND_SECONDS,
        )

    async def rolled_out(self, workload: str, *, namespace: str) -> None:
        """Return when all pods of a workload (`deployment/...`) are ready and of its newest form.

        Raises:
            CommandFailed: they are not in time.
        """
        await self.kubectl(
            *("rollout", "status", workload, f"--timeout={self.timeout_seconds:.0f}s"),
            namespace=namespace,
            timeout_seconds=self.timeout_seconds + COMMAND_SECONDS,
        )

    async def execute(
        self, target: str, *command: str, namespace: str, given: str | None = None, timeout_seconds: float
    ) -> str:
        """What a command says that is run in a container of a pod, or of a workload's first pod.

        Raises:
            CommandFailed: it ended with another exit code than 0, which is the error's `code`.
        """
        options = ("--stdin",) if given is not None else ()
        return await self.kubectl(
            *("exec", *options, target, "--", *command),
            namespace=namespace,
            given=given,
            timeout_seconds=timeout_seconds,
        )

    def follow(self, target: str, *command: str, namespace: str) -> AsyncGenerator[str, None]:
        """The lines of such a command as they come. Whoever stops reading must close it.

        Raises:
            CommandFailed: it ended with another exit code than 0.
        """
        return lines(*_kubectl(namespace), "exec", target, "--", *command)


def _kubectl(namespace: str | None) -> tuple[str, ...]:
    return ("kubectl",) if namespace is None else ("kubectl", f"--namespace={namespace}")
