"""Jobs in a Kubernetes cluster, by the official client, which is imported here and nowhere else. Network I/O.

Needs in the namespace: jobs create, get, list, delete; pods list; pods/log get; secrets create.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from pydantic import ValidationError

from services.client.jobs.manifest import CONTAINER, Manifest, job_manifest, label_of, secret_manifest
from services.client.jobs.pods import waiting_reason, why_ended
from services.client.jobs.runner import JobEnd, JobPhase, JobState, JobToStart, RunnerUnusable
from services.client.jobs.settings import JobSettings

log = structlog.get_logger(__name__)

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_LOOK_AGAIN_SECONDS: Final = 0.2
_MESSAGE_CHARACTERS: Final = 500
_LINE_CHARACTERS: Final = 2_000


class KubernetesJobs:
    """The Jobs of a silo in its namespace. A `JobRunner`.

    Args:
        settings: where and how.
        stop_grace_seconds: for a training to stop by itself.

    Raises:
        RunnerUnusable: there is no way to a cluster, or the settings make no Job.
    """

    def __init__(self, settings: JobSettings, *, stop_grace_seconds: float) -> None:
        self._settings = settings
        self._stop_grace_seconds = stop_grace_seconds
        self._api = client.ApiClient(_configuration(settings.kubeconfig))
        self._batch = client.BatchV1Api(self._api)
        self._core = client.CoreV1Api(self._api)
        self._manifest(JobToStart("consilo", "A/silo", "run", 0, "http://127.0.0.1:1", ""), "consilo")

    async def start(self, job: JobToStart) -> str:
        """Make a Job, and then its Secret, for which its pod waits."""
        secret = f"{job.name}-{secrets.token_hex(4)}"
        body = self._manifest(job, secret)
        uid = str((await self._create(job.name, body))["metadata"]["uid"])
        found = client.V1Secret.model_validate(secret_manifest(job, secret, uid, self._settings))
        try:
            await self._call(
                "make the Secret of a Job",
                lambda **more: self._core.create_namespaced_secret(self._settings.namespace, found, **more),
            )
        except BaseException:
            await self.delete(job.name, uid)
            raise
        return uid

    async def look(self, name: str, uid: str) -> JobState | None:
        """How a Job stands; for one that waits, its pods are asked why."""
        found = await self._read(name)
        if found is None or found["metadata"]["uid"] != uid or "deletionTimestamp" in found["metadata"]:
            return None
        status = found.get("status", {})
        for condition in status.get("conditions", []):
            if condition.get("status") == "True" and condition.get("type") in {"Complete", "Failed"}:
                phase: JobPhase = "succeeded" if condition["type"] == "Complete" else "failed"
                overdue = condition.get("reason") == "DeadlineExceeded"
                return JobState(uid, phase, overdue, condition.get("message"))
        if status.get("ready"):
            return JobState(uid, "running")
        return JobState(uid, "waiting", reason=waiting_reason(await self._pods(uid)))

    async def explain(self, name: str, uid: str) -> JobEnd:
        """How a Job ended, as its pod tells."""
        pods = await self._pods(uid)
        if not pods:
            return JobEnd()
        reason, code = why_ended(pods[0])
        return JobEnd(reason, code, await self._tail(str(pods[0]["metadata"]["name"])))

    async def delete(self, name: str, uid: str | None) -> None:
        """Delete a Job; its pod is told to end, and its Secret goes after it."""
        wanted = {} if uid is None else {"preconditions": {"uid": uid}}
        options = client.V1DeleteOptions.model_validate({"propagationPolicy": "Background", **wanted})
        await self._call(
            "delete a Job",
            lambda **more: self._batch.delete_namespaced_job(name, self._settings.namespace, body=options, **more),
            passing={_NOT_FOUND, _CONFLICT},  # it is gone, or another one has its name
        )

    async def jobs(self, member: str) -> dict[str, str]:
        """The Jobs with the silo's label."""
        found = await self._call(
            "list Jobs",
            lambda **more: self._batch.list_namespaced_job(
                self._settings.namespace, label_selector=f"consilo/silo={label_of(member)}", **more
            ),
        )
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in (found or {}).get("items", [])}

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._api.close)

    def _manifest(self, job: JobToStart, secret: str) -> client.V1Job:
        body = job_manifest(job, secret, self._settings, self._stop_grace_seconds)
        try:
            return client.V1Job.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RunnerUnusable(f"the settings of TRAINER__JOB make no Job: {place}: {first['msg']}") from None

    async def _create(self, name: str, body: client.V1Job) -> Manifest:
        """Make a Job; an older one of its name is deleted first."""
        deadline = time.monotonic() + self._settings.api_timeout_seconds
        while True:
            made = await self._call(
                "make a Job",
                lambda **more: self._batch.create_namespaced_job(self._settings.namespace, body, **more),
                passing={_CONFLICT},
            )
            if made is not None:
                return made
            if time.monotonic() > deadline:
                raise RunnerUnusable(f"there is a Job {name} already, and it does not go away; look after it")
            await self.delete(name, None)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _read(self, name: str) -> Manifest | None:
        return await self._call(
            "read a Job",
            lambda **more: self._batch.read_namespaced_job(name, self._settings.namespace, **more),
            passing={_NOT_FOUND},
        )

    async def _pods(self, uid: str) -> list[Manifest]:
        found = await self._call(
            "list the pods of a Job",
            lambda **more: self._core.list_namespaced_pod(
                self._settings.namespace, label_selector=f"batch.kubernetes.io/controller-uid={uid}", **more
            ),
        )
        return list((found or {}).get("items", []))

    async def _tail(self, pod: str) -> tuple[str, ...]:
        lines = self._settings.log_tail_lines
        if not lines:
            return ()
        try:
            text = await self._request(
                "read the log of a Job",
                lambda **more: self._core.read_namespaced_pod_log(
                    pod,
                    self._settings.namespace,
                    container=CONTAINER,
                    tail_lines=lines,
                    limit_bytes=lines * _LINE_CHARACTERS,
                    **more,
                ),
            )
        except RunnerUnusable as error:  # its container never began, or its node is gone
            log.info("the log of a Job cannot be read", reason=str(error))
            return ()
        return tuple(line[:_LINE_CHARACTERS] for line in text.decode("utf-8", "backslashreplace").splitlines())

    async def _call(
        self, what: str, call: Callable[..., Any], passing: set[int] | frozenset[int] = frozenset()
    ) -> Manifest | None:
        """Make a request whose answer is JSON; None for a failure that is expected."""
        try:
            found: Manifest = json.loads(await self._request(what, call))
        except _Refused as error:
            if error.status in passing:
                return None
            raise
        except ValueError:
            raise RunnerUnusable(f"what answers in place of Kubernetes when asked to {what} is none") from None
        return found

    async def _request(self, what: str, call: Callable[..., Any]) -> bytes:
        def make() -> bytes:
            response = call(_preload_content=False, _request_timeout=self._settings.api_timeout_seconds)
            try:
                return bytes(response.read())
            finally:
                response.release_conn()

        try:
            return await asyncio.to_thread(make)
        except ApiException as error:
            raise _Refused(error.status or 0, f"Kubernetes refuses to {what}: {_said(error)}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RunnerUnusable(f"Kubernetes does not answer when asked to {what}: {type(error).__name__}") from None


class _Refused(RunnerUnusable):
    """Kubernetes answered with a failure."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _said(error: ApiException) -> str:
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        message = error.reason
    return f"{str(message)[:_MESSAGE_CHARACTERS]} ({error.status})"


def _configuration(kubeconfig: Path | None) -> client.Configuration:
    found = client.Configuration()
    load: Callable[..., None] = config.load_incluster_config
    where = {}
    if kubeconfig is not None:
        load, where = config.load_kube_config, {"config_file": str(kubeconfig)}
    try:
        load(client_configuration=found, **where)
    except ConfigException as error:
        raise RunnerUnusable(
            f"there is no way to Kubernetes: {error} Give the silo's pod the token of a service account, or outside of "
            "a cluster name a kubeconfig in CONSILO_CLIENT_TRAINER__JOB__KUBECONFIG"
        ) from None
    found.retries = False
    return found
