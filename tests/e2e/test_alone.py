"""One organisation alone, as the chart is by default, with its demo: installed, tried, removed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from k8s.cluster import COMMAND_SECONDS, Cluster
from k8s.commands import call
from k8s.organisations import CHARTS, CONSILO
from tests.chart.charts import missing_cluster, missing_helm, need
from tests.e2e.figures import Figures
from tests.e2e.harness import Stopwatch, image_from_environment

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600, func_only=True)]

NAMESPACE: Final = "consilo-e2e-alone"
INSTALL_SECONDS: Final = 400.0
LABEL: Final = "app.kubernetes.io/instance"
KINDS: Final = (
    "all,configmaps,secrets,persistentvolumeclaims,serviceaccounts,roles,rolebindings,networkpolicies,"
    "poddisruptionbudgets"
)
OF_EVERY_NAMESPACE: Final = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster() -> AsyncIterator[Cluster]:
    need(missing_helm() or missing_cluster())
    cluster = Cluster(INSTALL_SECONDS)
    await cluster.check()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    try:
        yield cluster
    finally:
        await cluster.kubectl(
            "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", timeout_seconds=INSTALL_SECONDS
        )


async def test_the_chart_alone_is_a_working_system_with_a_run_to_its_end(cluster: Cluster, figures: Figures) -> None:
    watch = Stopwatch()
    given = {**image_from_environment().values(), "demo": {"enabled": True}}
    # Its Jobs are waited for: registration, and the demo, which proposes, follows and verifies a run.
    await cluster.install(CONSILO, CHARTS / "consilo", namespace=NAMESPACE, values=[], given=given)
    figures.note(
        "From helm install to ready", "helm/consilo alone, with a run of 5 rounds, verified", f"{watch.seconds:.1f} s"
    )
    said = await cluster.kubectl(
        "logs", "--selector=app.kubernetes.io/component=demo", "--tail=-1", namespace=NAMESPACE
    )
    assert "is what its ledger says" in said
    await call(
        *("helm", "test", CONSILO, "--namespace", NAMESPACE, "--timeout", "200s"), timeout_seconds=200 + COMMAND_SECONDS
    )


async def test_what_is_left_when_it_is_removed_is_what_the_notes_say(cluster: Cluster) -> None:
    await cluster.uninstall(CONSILO, namespace=NAMESPACE)
    await cluster.kubectl(
        "wait",
        "pods",
        "--all",
        "--for=delete",
        f"--timeout={COMMAND_SECONDS:.0f}s",
        namespace=NAMESPACE,
        timeout_seconds=2 * COMMAND_SECONDS,
    )
    left = await objects(cluster)
    assert {name.partition("/")[0] for name in left} == {"Secret", "PersistentVolumeClaim"}
    await cluster.kubectl(
        "delete", "secrets,persistentvolumeclaims", f"--selector={LABEL}={CONSILO}", namespace=NAMESPACE
    )
    assert await objects(cluster) == set()


async def objects(cluster: Cluster) -> set[str]:
    """`Kind/name` of what is in the namespace, but for what every namespace has."""
    output = await cluster.kubectl("get", KINDS, "--output=json", namespace=NAMESPACE)
    return {f"{each['kind']}/{each['metadata']['name']}" for each in json.loads(output)["items"]} - OF_EVERY_NAMESPACE
