"""A silo that trains in Kubernetes Jobs: the real client, its Jobs on the cluster that KUBECONFIG names."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
import pytest_asyncio

from k8s.cluster import Cluster
from tests.chart.charts import missing_cluster, need
from tests.e2e.harness import image_from_environment
from tests.e2e.job_cluster import JobCluster
from tests.integration.client_play import get, logged
from tests.integration.consortium import Consortium, running_consortium, until_true

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    with running_consortium(tmp_path_factory.mktemp("consortium")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JobCluster]:
    need(missing_cluster())
    image = image_from_environment()
    name = f"{image.repository or 'consilo'}:{image.tag or 'dev'}"
    namespace = os.environ.get("CONSILO_E2E_JOBS_NAMESPACE", "consilo-jobs")
    async with JobCluster.made(Cluster(120), namespace, name, tmp_path_factory.mktemp("cluster")) as made:
        yield made


async def test_a_silo_trains_a_run_in_jobs_to_its_end(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "whole") as s:
        await s.p.start()
        with s.client() as client:
            await s.p.published()
            await s.p.reported(0)
            await s.p.next_global({"weights": np.full(2, 1, np.float32)})
            await s.p.published(round=1)
            await s.p.next_global({"weights": np.full(2, 2, np.float32)})
            assert await s.p.reported(0, 1, 2) == {round: {"weight": f"{round}.0"} for round in range(3)}
            await cluster.until_nothing_is_left()
            assert get(client, "/readyz") == "ok\n"
            assert client.end() == 0
            assert not [line for line in client.log().splitlines() if '"level": "error"' in line]
        assert (len(await s.lines("trainings")), len(await s.lines("loads"))) == (2, 3)


async def test_a_job_has_no_rights_and_its_token_is_in_its_secret_only(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "rights") as s:
        await s.p.start()
        await s.hold()
        with s.client() as client:
            await s.trainings(1)
            (job,), (pod,), (secret,) = [await cluster.objects(kind) for kind in ("jobs", "pods", "secrets")]
            for thing, owner in ((job, ("Pod", "rights")), (secret, ("Job", job["metadata"]["name"]))):
                (found,) = thing["metadata"]["ownerReferences"]
                assert (found["kind"], found["name"]) == owner
            token = json.loads(json.dumps(secret))["data"]["token"]
            assert token not in json.dumps([job, pod])
            mounts = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
            assert not [mount for mount in mounts if "serviceaccount" in mount]
            environment = json.loads((await s.lines("environment.json"))[0])
            assert not [name for name in environment if name.startswith("CONSILO_")]
            await s.release()
            await s.p.published()
            assert client.end() == 0


async def test_a_round_goes_on_by_another_job_when_its_pod_is_killed(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "killed-pod") as s:
        await s.p.start()
        await s.hold()
        with s.client() as client:
            await s.trainings(1)
            (pod,) = await cluster.objects("pods")
            await cluster.cluster.kubectl(
                *("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force"), namespace=cluster.namespace
            )
            await s.trainings(2)
            await s.release()
            await s.p.published()
            (failure,) = client.events("failed; trying again")
            assert failure["code"] == "worker-died"
            assert client.end() == 0


async def test_a_task_that_fails_is_told_with_the_log_of_its_job(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "failing") as s:
        await s.p.start()
        await s.call("touch", "/data/failing/fail")
        with s.client() as client:
            await until_true(logged(client, "failed; trying again"), "the failure")
            await s.call("rm", "/data/failing/fail")
            await s.p.published()
            failure = client.events("failed; trying again")[0]
            assert failure["code"] == "task-failed"
            assert "the scanner is away" in str(failure["reason"])
            assert "the scanner is away" in str(client.events("the log of a Job that failed")[0]["lines"])
            assert client.end() == 0


async def test_a_client_that_was_killed_finds_its_job(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "killed-client") as s:
        await s.p.start()
        await s.hold()
        with s.client() as client:
            await s.trainings(1)
            client.kill()
        uid = (await cluster.job())["metadata"]["uid"]
        with s.client() as client:
            await until_true(logged(client, "going on with a Job that is there"), "the client to find its Job")
            await s.release()
            await s.p.published()
            assert (await cluster.job())["metadata"]["uid"] == uid
            assert client.end() == 0
        assert len(await s.lines("trainings")) == 1


async def test_a_job_past_its_deadline_is_ended_and_told(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "overdue") as s:
        await s.p.start()
        await s.hold()
        with s.client(trainer__job__deadline_seconds=5, retries__tries=1, evaluate=False) as client:
            await until_true(logged(client, "given up for this attempt"), "the deadline")
            (failure,) = client.events("given up for this attempt")
            assert failure["code"] == "task-timed-out"
            assert "within 5 s" in str(failure["reason"])
            await cluster.until_nothing_is_left()
            assert client.end() == 0


async def test_a_job_is_deleted_when_its_round_closes_without_it(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "closed") as s:
        await s.p.start(with_other=True)
        await s.hold()
        with s.client(evaluate=False) as client:
            await s.trainings(1)
            await s.p.publish_other()
            await s.p.close()
            await cluster.until_nothing_is_left()
            assert client.end() == 0


async def test_a_client_that_is_told_to_end_leaves_no_job(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "told") as s:
        await s.p.start()
        await s.hold()
        with s.client() as client:
            await s.trainings(1)
            assert client.end() == 0
            await cluster.until_nothing_is_left()


async def test_nothing_is_left_of_a_silo_whose_pod_is_gone(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "gone") as s:
        await s.p.start()
        await s.hold()
        with s.client() as client:
            await s.trainings(1)
            client.kill()
        await cluster.cluster.kubectl("delete", "pod", "gone", "--grace-period=1", namespace=cluster.namespace)
        await cluster.until_nothing_is_left()


async def test_why_a_job_waits_is_told(cluster: JobCluster, consortium: Consortium, tmp_path: Path) -> None:
    async with cluster.silo(consortium, tmp_path, "waiting") as s:
        await s.p.start()
        with s.client(trainer__job__node_selector=json.dumps({"consilo/gpu": "none"})) as client:
            await until_true(logged(client, "a Job waits"), "the reason")
            assert "Unschedulable" in str(client.events("a Job waits")[0]["reason"])
            assert client.end() == 0


async def test_what_kubernetes_refuses_is_told_and_shown_by_readiness(
    cluster: JobCluster, consortium: Consortium, tmp_path: Path
) -> None:
    async with cluster.silo(consortium, tmp_path, "refused") as s:
        await s.p.start()
        with s.client(
            trainer__job__volumes="[]", trainer__job__mounts="[]", trainer__job__namespace="default"
        ) as client:
            await until_true(logged(client, "no Job can be made; trying again"), "the refusal")
            assert "jobs.batch is forbidden" in str(client.events("no Job can be made; trying again")[0]["reason"])
            with pytest.raises(HTTPError) as answer:
                get(client, "/readyz")
            assert "jobs.batch is forbidden" in answer.value.read().decode()
            assert client.end() == 0
