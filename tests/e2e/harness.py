"""A consortium on a cluster for tests that do harm to it: installed once, given runs, proved whole after each.

async with trial.running("run", rounds=8) as run:
    await run.until_global(2, seconds=60)
    ...                                       # kill, upgrade
    await trial.prove(run)
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from k8s.cluster import Cluster, Manifest
from k8s.console import Console
from k8s.consortium import Image
from k8s.organisations import CONSOLE, FABRIC, ORGANISATIONS, Organisation
from k8s.runs import Agreement, agree, verify
from services.local.together import together
from tests.e2e.figures import Figures
from tests.e2e.following import Following

ROUND_SECONDS: Final = 60.0
"""For one round with a fault in it, on a small machine."""

ATTEST_SECONDS: Final = 60.0
"""For the verifier to say its word on all rounds of a run that has ended."""

MEASURE_SECONDS: Final = 60.0
"""For the kubelet to look at the memory of all pods."""

_SUFFIX: Final = re.compile(r"(-[a-z0-9]{8,10}-[a-z0-9]{5}|-0)$")
"""What controllers put behind the names of their pods."""

ROLE: Final = "app.kubernetes.io/component"


_READ_ROUNDS: Final = """
import json, os, sys
from pathlib import Path
from consilo.cli.rounds import round_as_json
from consilo.cli.session import Session

async def read(party):
    return [round_as_json(await party.gateway.round(sys.argv[1], number)) for number in range(int(sys.argv[2]))]

session = Session(gateway=os.environ["CONSILO_GATEWAY"], identity=Path(os.environ["CONSILO_IDENTITY"]))
print(json.dumps(session.call(read)))
"""


def image_from_environment() -> Image:
    """The image to install, from CONSILO_E2E_{IMAGE,TAG,PULL_POLICY}; by default that of the charts."""
    repository, tag, pull_policy = (os.environ.get(f"CONSILO_E2E_{name}") for name in ("IMAGE", "TAG", "PULL_POLICY"))
    return Image(repository or None, tag or None, pull_policy or None)


@dataclass
class Trial:
    """The consortium.

    Attributes:
        image: of Consilo.
        figures: what was measured.
        session: is put behind the names of runs, since a ledger has each name once.
    """

    cluster: Cluster
    image: Image
    figures: Figures
    session: str = field(default_factory=lambda: secrets.token_hex(3))

    @property
    def organisations(self) -> tuple[Organisation, ...]:
        """Its organisations."""
        return ORGANISATIONS

    @asynccontextmanager
    async def running(self, name: str, *, rounds: int, at: Organisation, **parameters: int) -> AsyncIterator[Following]:
        """A run of digits_linear at all silos, followed at one organisation's gateway."""
        async with self.running_form(name, Agreement(name, rounds, parameters).form(), at=at) as following:
            yield following

    @asynccontextmanager
    async def running_form(self, name: str, form: str, *, at: Organisation) -> AsyncIterator[Following]:
        """A run that is written down like this."""
        run = f"{name}-{self.session}"
        await agree(self.cluster, run, form, lambda _: None)
        async with Following(self.cluster, run, at) as following:
            yield following

    async def prove(self, run: Following, *, rounds: int) -> None:
        """The run ends by itself and is whole.

        Each round ended in its first attempt, two organisations' operators verify it and find the same, and the
        verifier has attested each global.
        """
        await run.until_finished(seconds=ROUND_SECONDS * rounds)
        verifiers = (ORGANISATIONS[0], ORGANISATIONS[-1])
        reports = await together(verify(self.cluster, run.run, organisation) for organisation in verifiers)
        for report in reports:
            assert [step["outcome"] for step in report["steps"]] == ["ok"] * 5, report
            assert [checked["round"] for checked in report["globals"]] == list(range(rounds + 1))
            assert all(checked["recomputed"] == checked["sha256"] for checked in report["globals"][1:])
            attempts = {checked["attempt"] for checked in report["globals"][1:]}
            assert attempts == {1}, "a round was opened again"
        assert reports[0]["globals"] == reports[1]["globals"]
        for summary in await self.attested_rounds(run.run, rounds):
            assert [said["verdict"] for said in summary["attestations"]] == ["ok"], summary

    async def attested_rounds(self, run: str, rounds: int) -> list[dict[str, Any]]:
        """All rounds of a finished run, once the verifier has said its word on each."""
        namespace = ORGANISATIONS[-1].namespace
        async with asyncio.timeout(ATTEST_SECONDS):
            while True:
                said = await self.cluster.execute(
                    CONSOLE, "python", "-c", _READ_ROUNDS, run, str(rounds), namespace=namespace, timeout_seconds=60
                )
                summaries: list[dict[str, Any]] = json.loads(said)
                if all(summary["attestations"] for summary in summaries):
                    return summaries
                await asyncio.sleep(0.5)

    async def pods(self, namespace: str, selector: str) -> list[Manifest]:
        """Pods with these labels that are not on their way out."""
        found = await self.cluster.list("pods", namespace=namespace, selector=selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def pod(self, namespace: str, selector: str) -> str:
        """Name of one of them."""
        pods = await self.pods(namespace, selector)
        assert pods, f"no pod {selector} in {namespace}"
        return str(pods[0]["metadata"]["name"])

    async def kill(self, namespace: str, selector: str) -> None:
        """Kill all pods with these labels, with no time to end in order."""
        await self.cluster.kubectl(
            *("delete", "pods", f"--selector={selector}", "--grace-period=1", "--wait=true"), namespace=namespace
        )

    async def until_ready(self, namespace: str, selector: str, *, but: frozenset[str], seconds: float) -> None:
        """Wait until there are as many ready pods with these labels, other ones than those killed."""
        async with asyncio.timeout(seconds):
            while True:
                pods = [pod for pod in await self.pods(namespace, selector) if pod["metadata"]["uid"] not in but]
                if len(pods) >= len(but) and all(map(is_ready, pods)):
                    return
                await asyncio.sleep(0.2)

    async def memory(self) -> dict[str, float]:
        """Working set of every running pod of the consortium, in megabytes (10**6 bytes), by namespace and name.

        Of a workload's several pods the largest counts.
        """
        async with asyncio.timeout(MEASURE_SECONDS):
            while True:
                used = await self._working_sets()
                if used and all(used.values()):  # the kubelet has looked at all pods since they were started
                    break
                await asyncio.sleep(1)
        named: dict[str, float] = {}
        for pod, megabytes in sorted(used.items()):
            name = _SUFFIX.sub("", pod)
            named[name] = max(megabytes, named.get(name, 0))
        return named

    async def _working_sets(self) -> dict[str, float]:
        used: dict[str, float] = {}
        running = {
            f"{namespace}/{pod['metadata']['name']}"
            for namespace in self.namespaces
            for pod in await self.pods(namespace, "")
            if pod["status"]["phase"] == "Running"
        }
        nodes = json.loads(await self.cluster.kubectl("get", "nodes", "--output=json"))["items"]
        for node in nodes:
            path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
            summary: dict[str, Any] = json.loads(await self.cluster.kubectl("get", "--raw", path))
            for pod in summary["pods"]:
                name = f"{pod['podRef']['namespace']}/{pod['podRef']['name']}"
                if name in running:
                    used[name] = pod.get("memory", {}).get("workingSetBytes", 0) / 1e6
        return {name: used.get(name, 0.0) for name in running}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Of the network and of the organisations."""
        return (FABRIC, *(organisation.namespace for organisation in ORGANISATIONS))

    def console(self, organisation: Organisation) -> Console:
        """Where an organisation's operator types commands."""
        return Console(self.cluster, organisation)


def is_ready(pod: Manifest) -> bool:
    """Whether a pod says that it is ready."""
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = monotonic()

    @property
    def started(self) -> float:
        """On the monotonic clock."""
        return self._started

    @property
    def seconds(self) -> float:
        """Until now."""
        return monotonic() - self._started
