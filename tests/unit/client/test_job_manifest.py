"""What a Job and its Secret look like to Kubernetes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from kubernetes import client
from pydantic import ValidationError

from services.client.jobs.manifest import job_manifest, label_of, secret_manifest
from services.client.jobs.runner import JobToStart
from services.client.jobs.settings import JobSettings, TrainerSettings
from tests.integration.job_play import job_settings

JOB = JobToStart(
    name="consilo-silo-trial-r3-0123456789",
    member="HospitalA/silo",
    run="trial",
    round=3,
    url="http://10.1.2.3:8071/v1/jobs/consilo-silo-trial-r3-0123456789",
    token="the-token",
)


def made(settings: JobSettings | None = None, job: JobToStart = JOB) -> Any:
    return job_manifest(job, "the-secret", settings or job_settings(), 5.0)


def pod(settings: JobSettings | None = None) -> Any:
    return made(settings)["spec"]["template"]["spec"]


def test_the_official_client_takes_both() -> None:
    assert client.V1Job.model_validate(made()).metadata is not None
    assert client.V1Secret.model_validate(secret_manifest(JOB, "the-secret", "u1", job_settings())).metadata is not None


def test_a_job_is_tried_once_and_ended_and_removed_in_time() -> None:
    spec = made(job_settings(deadline_seconds=60, ttl_seconds_after_finished=7))["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (60, 7)


def test_the_silos_pod_owns_the_job_and_the_job_its_secret() -> None:
    (owner,) = made()["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "silo-0", "b2a4")
    (owner,) = secret_manifest(JOB, "the-secret", "u1", job_settings())["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", JOB.name, "u1")


def test_the_token_is_in_the_secret_only() -> None:
    assert JOB.token not in json.dumps(made())
    assert JOB.token not in repr(JOB)
    assert secret_manifest(JOB, "the-secret", "u1", job_settings())["stringData"] == {"token": JOB.token}
    assert {"name": "consilo-token", "secret": {"secretName": "the-secret", "defaultMode": 0o444}} in pod()["volumes"]


def test_a_pod_has_what_the_restricted_pod_security_asks_for_and_no_token_of_kubernetes() -> None:
    found = pod()
    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    (container,) = found["containers"]
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_the_operator_sets_is_in_the_pod() -> None:
    settings = job_settings(
        resources={"requests": {"cpu": 2, "memory": 0.5}},
        gpus=2,
        gpu_resource="amd.com/gpu",
        node_selector={"pool": "gpu"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        priority_class="low",
        runtime_class="nvidia",
        service_account="nobody",
        image_pull_secrets=["pull"],
        volumes=[{"name": "scans", "persistentVolumeClaim": {"claimName": "scans", "readOnly": True}}],
        mounts=[{"name": "scans", "mountPath": "/scans", "readOnly": True}],
        fs_group=7,
        work_bytes=1024,
        labels={"team": "x", "app.kubernetes.io/component": "other"},
        annotations={"note": "y"},
    )
    found = pod(settings)
    (container,) = found["containers"]
    assert container["resources"] == {"requests": {"cpu": "2", "memory": "0.5"}, "limits": {"amd.com/gpu": "2"}}
    assert container["volumeMounts"][-1] == {"name": "scans", "mountPath": "/scans", "readOnly": True}
    assert found["volumes"][-1]["name"] == "scans"
    assert {"name": "consilo-work", "emptyDir": {"sizeLimit": "1024"}} in found["volumes"]
    assert (found["nodeSelector"], found["tolerations"]) == ({"pool": "gpu"}, [{"key": "gpu", "operator": "Exists"}])
    assert (found["priorityClassName"], found["runtimeClassName"]) == ("low", "nvidia")
    assert (found["serviceAccountName"], found["imagePullSecrets"]) == ("nobody", [{"name": "pull"}])
    assert found["securityContext"]["fsGroup"] == 7
    assert client.V1Job.model_validate(made(settings)).metadata is not None
    metadata = made(settings)["spec"]["template"]["metadata"]
    assert metadata["annotations"] == {"note": "y"}
    assert (metadata["labels"]["team"], metadata["labels"]["app.kubernetes.io/component"]) == ("x", "training-job")


@pytest.mark.parametrize("text", ["HospitalA/silo", "HospitalA/silo-" + "x" * 100, "a", "//", "run-1"])
def test_a_label_is_valid_and_stands_for_one_text(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label_of(text))
    assert label_of(text) != label_of(text + "1")
    assert label_of(text) != label_of(text.upper() + "-")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"volumes": [{"emptyDir": {}}]}, "needs a name"),
        ({"volumes": [{"name": "consilo-work", "emptyDir": {}}]}, "begins with consilo-"),
        ({"mounts": [{"name": "data", "mountPath": "/data"}]}, "there is no volume 'data'"),
        (
            {"volumes": [{"name": "data", "emptyDir": {}}], "mounts": [{"name": "data", "mountPath": "/work/"}]},
            "are taken",
        ),
        ({"resources": {"wishes": {}}}, "'requests' or 'limits'"),
        ({"deadline_seconds": 0}, "greater than or equal to 1"),
        ({"gpus": -1}, "greater than or equal to 0"),
        ({"colour": "red"}, "Extra inputs"),
    ],
    ids=["no-name", "own-name", "no-volume", "own-place", "resources", "deadline", "gpus", "unknown"],
)
def test_settings_that_make_no_job_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        job_settings(**values)


def test_the_mode_job_needs_its_settings() -> None:
    with pytest.raises(ValidationError, match="CONSILO_CLIENT_TRAINER__JOB__NAMESPACE"):
        TrainerSettings(mode="job", job=None)
    assert TrainerSettings.model_validate({}).mode == "process"
