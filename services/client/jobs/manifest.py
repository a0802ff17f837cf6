"""The Job and its Secret as Kubernetes takes them. Pure; no I/O.

The Job's pod has no service account token, no environment but where its silo is, a read-only file system but for two
volumes of its own, and no right that the restricted Pod Security would refuse. Its token is in the Secret, which the
Job owns; the Job is owned by the silo's pod. So with either everything after it goes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from services.client.jobs.runner import JobToStart
from services.client.jobs.settings import JobSettings

Manifest = dict[str, Any]

TOKEN_KEY: Final = "token"  # noqa: S105 - a name
CONTAINER: Final = "job"

_LABEL_CHARACTERS: Final = 63
_WORK: Final = "/work"
_TEMPORARY: Final = "/tmp"  # noqa: S108 - a volume of the pod
_TOKEN_DIRECTORY: Final = "/run/consilo"  # noqa: S105 - a path
_END_MARGIN_SECONDS: Final = 5


def label_of(text: str) -> str:
    """A label's value that stands for a text, and for no other."""
    readable = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{readable[: _LABEL_CHARACTERS - len(digest) - 1]}-{digest}".lstrip("-")


def job_manifest(job: JobToStart, secret: str, settings: JobSettings, stop_grace_seconds: float) -> Manifest:
    """The Job.

    Args:
        job: what to make.
        secret: name of its Secret.
        settings: how.
        stop_grace_seconds: for a training to stop by itself.
    """
    labels = _labels(job, settings)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": {"consilo/silo": job.member, "consilo/run": job.run},
            "ownerReferences": [_owner("v1", "Pod", settings.pod_name, settings.pod_uid)],
        },
        "spec": {
            "backoffLimit": 0,  # another try is the silo's to decide, in another Job
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",  # never two pods for one Job
            "activeDeadlineSeconds": settings.deadline_seconds,
            "ttlSecondsAfterFinished": settings.ttl_seconds_after_finished,
            "template": {
                "metadata": {"labels": labels, "annotations": settings.annotations},
                "spec": _pod(job, secret, settings, stop_grace_seconds),
            },
        },
    }


def secret_manifest(job: JobToStart, secret: str, uid: str, settings: JobSettings) -> Manifest:
    """The Secret of a Job that was made and has this UID."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret,
            "namespace": settings.namespace,
            "labels": _labels(job, settings),
            "ownerReferences": [_owner("batch/v1", "Job", job.name, uid)],
        },
        "type": "Opaque",
        "immutable": True,
        "stringData": {TOKEN_KEY: job.token},
    }


def _labels(job: JobToStart, settings: JobSettings) -> dict[str, str]:
    round_label = {} if job.round is None else {"consilo/round": str(job.round)}
    return {
        **settings.labels,
        "app.kubernetes.io/name": "consilo",
        "app.kubernetes.io/component": "training-job",
        "app.kubernetes.io/managed-by": "consilo-client",
        "consilo/silo": label_of(job.member),
        "consilo/run": label_of(job.run),
        **round_label,
    }


def _owner(version: str, kind: str, name: str, uid: str) -> Manifest:
    # Not blocking the owner's deletion: that would take a further right.
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": False}


def _pod(job: JobToStart, secret: str, settings: JobSettings, stop_grace_seconds: float) -> Manifest:
    room = {} if settings.work_bytes is None else {"sizeLimit": str(settings.work_bytes)}
    group = {} if settings.fs_group is None else {"fsGroup": settings.fs_group}
    named = {
        "priorityClassName": settings.priority_class,
        "runtimeClassName": settings.runtime_class,
        "serviceAccountName": settings.service_account,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": round(stop_grace_seconds) + _END_MARGIN_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **group},
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "nodeSelector": settings.node_selector,
        "tolerations": settings.tolerations,
        **{name: value for name, value in named.items() if value is not None},
        "volumes": [
            {"name": "consilo-token", "secret": {"secretName": secret, "defaultMode": 0o444}},
            {"name": "consilo-work", "emptyDir": room},
            {"name": "consilo-temporary", "emptyDir": room},
            *settings.volumes,
        ],
        "containers": [_container(job, settings)],
    }


def _container(job: JobToStart, settings: JobSettings) -> Manifest:
    resources = {  # quantities are strings to the client; people write numbers too
        kind: {name: str(quantity) for name, quantity in values.items()} for kind, values in settings.resources.items()
    }
    if settings.gpus:
        resources.setdefault("limits", {})[settings.gpu_resource] = str(settings.gpus)
    environment = {
        "HOME": _WORK,
        "TMPDIR": _TEMPORARY,
        "CONSILO_JOB_URL": job.url,
        "CONSILO_JOB_TOKEN_FILE": f"{_TOKEN_DIRECTORY}/{TOKEN_KEY}",
        "CONSILO_JOB_DIRECTORY": _WORK,
        "CONSILO_JOB_TIMEOUT_SECONDS": str(settings.stall_timeout_seconds),
        "CONSILO_JOB_PATIENCE_SECONDS": str(settings.patience_seconds),
    }
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python", "-m", "consilo.training.job"],
        "workingDir": _WORK,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": resources,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.run_as_user,
            "runAsGroup": settings.run_as_group,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "consilo-token", "mountPath": _TOKEN_DIRECTORY, "readOnly": True},
            {"name": "consilo-work", "mountPath": _WORK},
            {"name": "consilo-temporary", "mountPath": _TEMPORARY},
            *settings.mounts,
        ],
    }
