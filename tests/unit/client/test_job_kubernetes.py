"""Jobs by the official client: the requests that are made, and what every answer of Kubernetes means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.client.jobs.kubernetes import KubernetesJobs
from services.client.jobs.runner import JobEnd, JobState, JobToStart, RunnerUnusable
from tests.integration.job_play import job_settings
from tests.unit.client.kubernetes_api import KubernetesApi

JOB = JobToStart("job", "HospitalA/silo", "trial", 3, "http://127.0.0.1:1/v1/jobs/job", "the-token")


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi().served() as api:
        yield api


@pytest.fixture
async def jobs(api: KubernetesApi, tmp_path: Path) -> AsyncIterator[KubernetesJobs]:
    kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
    found = KubernetesJobs(
        job_settings(kubeconfig=kubeconfig, api_timeout_seconds=1.0, log_tail_lines=2), stop_grace_seconds=5.0
    )
    yield found
    await found.close()


async def test_a_job_is_made_with_a_secret_that_it_owns(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    uid = await jobs.start(JOB)
    assert list(api.jobs) == ["job"]
    (secret,) = api.secrets.values()
    assert secret["stringData"] == {"token": "the-token"}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == uid
    volumes = api.jobs["job"]["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["secret"]["secretName"] == secret["metadata"]["name"]
    assert await jobs.jobs("HospitalA/silo") == {"job": uid}


async def test_an_older_job_of_the_same_name_makes_room(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    first = await jobs.start(JOB)
    second = await jobs.start(JOB)
    assert first != second
    assert api.jobs["job"]["metadata"]["uid"] == second


async def test_an_older_job_that_does_not_go_away_is_told(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    await jobs.start(JOB)
    api.stuck = True
    with pytest.raises(RunnerUnusable, match="does not go away"):
        await jobs.start(JOB)


async def test_a_job_whose_secret_cannot_be_made_is_deleted(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    api.refused["POST secrets"] = (403, "secrets is forbidden")
    with pytest.raises(RunnerUnusable, match="secrets is forbidden"):
        await jobs.start(JOB)
    assert api.jobs == {}


async def test_what_kubernetes_says_is_told_without_secrets(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    api.refused["POST jobs"] = (422, "the Job is invalid: " + "x" * 10_000)
    with pytest.raises(RunnerUnusable, match="refuses to make a Job: the Job is invalid") as first:
        await jobs.start(JOB)
    assert len(str(first.value)) < 1_000
    del api.refused["POST jobs"]
    api.refused["POST secrets"] = (500, "no")
    with pytest.raises(RunnerUnusable, match="refuses to make the Secret") as second:
        await jobs.start(JOB)
    for secret in ("the-token", "secret-of-kubernetes"):
        assert secret not in f"{first.value}{second.value}"


async def test_how_a_job_stands(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    uid = await jobs.start(JOB)
    assert await jobs.look("job", uid) == JobState(
        uid, "waiting", reason="it has no pod yet; if that stays so, look at the Job's events (a quota, a policy)"
    )
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    api.pods = [_pod(uid, {"waiting": waiting})]
    assert await jobs.look("job", uid) == JobState(uid, "waiting", reason="ErrImagePull: no such image")
    job = api.jobs["job"]
    job["status"] = {"active": 1, "ready": 1}
    assert await jobs.look("job", uid) == JobState(uid, "running")
    job["status"] = {"conditions": [{"type": "FailureTarget", "status": "True"}], "ready": 1}
    assert await jobs.look("job", uid) == JobState(uid, "running")
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert await jobs.look("job", uid) == JobState(uid, "succeeded")
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    assert await jobs.look("job", uid) == JobState(uid, "failed")
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "m"}]}
    assert await jobs.look("job", uid) == JobState(uid, "failed", is_overdue=True, reason="m")
    assert await jobs.look("job", "another") is None
    job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await jobs.look("job", uid) is None
    assert await jobs.look("other", uid) is None


async def test_how_a_job_ended(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    uid = await jobs.start(JOB)
    assert await jobs.explain("job", uid) == JobEnd()
    ended = {"reason": "Error", "exitCode": 2}
    api.pods = [_pod(uid, {"terminated": ended})]
    api.log = b"first\n\xff second\n"
    assert await jobs.explain("job", uid) == JobEnd("Error", 2, ("first", "\\xff second"))
    assert api.requests[-1] == "GET pods/job-x/log"
    api.refused["GET pods"] = (500, "the kubelet is away")
    with pytest.raises(RunnerUnusable, match="the kubelet is away"):
        await jobs.explain("job", uid)


async def test_a_job_is_deleted_and_another_one_of_its_name_is_not(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    uid = await jobs.start(JOB)
    await jobs.delete("job", "another")
    assert list(api.jobs) == ["job"]
    await jobs.delete("job", uid)
    await jobs.delete("job", uid)
    await jobs.delete("never-made", None)
    assert api.jobs == {}


async def test_an_answer_that_is_no_json_is_told(api: KubernetesApi, jobs: KubernetesJobs) -> None:
    api.garbled = True
    with pytest.raises(RunnerUnusable, match="in place of Kubernetes"):
        await jobs.jobs("HospitalA/silo")


async def test_a_cluster_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with KubernetesApi().served() as gone:
        kubeconfig = gone.kubeconfig(tmp_path / "kubeconfig")
    jobs = KubernetesJobs(job_settings(kubeconfig=kubeconfig), stop_grace_seconds=5.0)
    with pytest.raises(RunnerUnusable, match="does not answer when asked to list Jobs"):
        await jobs.jobs("HospitalA/silo")
    await jobs.close()


def test_outside_of_a_cluster_a_kubeconfig_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(RunnerUnusable, match="CONSILO_CLIENT_TRAINER__JOB__KUBECONFIG"):
        KubernetesJobs(job_settings(), stop_grace_seconds=5.0)
    with pytest.raises(RunnerUnusable, match="no way to Kubernetes"):
        KubernetesJobs(job_settings(kubeconfig=tmp_path / "none"), stop_grace_seconds=5.0)


def test_settings_that_make_no_job_are_told_at_the_start(api: KubernetesApi, tmp_path: Path) -> None:
    settings = job_settings(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"), tolerations=[{"colour": "red"}])
    with capture_logs(), pytest.raises(RunnerUnusable, match=r"make no Job: .*tolerations.*colour"):
        KubernetesJobs(settings, stop_grace_seconds=5.0)


def _pod(uid: str, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"uid": uid, "name": "job-x"},
        "status": {"containerStatuses": [{"name": "job", "state": state}]},
    }
