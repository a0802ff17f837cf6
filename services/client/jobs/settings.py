"""Settings of the trainer: in a process of the silo's pod, or in Kubernetes Jobs. Reads no files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

Seconds = Annotated[float, Field(gt=0, le=100 * 86_400)]
WholeSeconds = Annotated[int, Field(ge=1, le=100 * 86_400)]

OWN_NAMES = "consilo-"
"""How names of volumes begin that the Job's own parts have."""

OWN_PLACES = ("/work", "/tmp", "/run/consilo")  # noqa: S108 - mount points of the Job's pod
"""Where the Job's own volumes are mounted."""


Resources = dict[Literal["requests", "limits"], dict[str, str | int | float]]


def _resources() -> Resources:
    return {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}


class JobSettings(BaseModel):
    """The Kubernetes Jobs in which a silo trains. JSON values are in Kubernetes' own words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = Field(description="namespace of the silo's pod, and so of its Jobs")
    pod_name: str = Field(description="name of the silo's pod, which owns the Jobs: when it is gone, so are they")
    pod_uid: str = Field(description="UID of the silo's pod")
    pod_address: str = Field(description="IP address of the silo's pod, where its Jobs reach it")
    image: str = Field(description="image of the Jobs; has the tasks installed")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="when the image is pulled"
    )
    image_pull_secrets: list[str] = Field(default_factory=list, description="JSON: names of Secrets to pull it with")
    host: str = Field("127.0.0.1", description="address to listen on for Jobs; `0.0.0.0` in a pod")
    port: int = Field(8071, ge=0, le=65535, description="port to listen on for Jobs; 0 takes a free one")
    max_connections: int = Field(16, ge=1, description="connections of Jobs at once; more are answered 503")
    stall_timeout_seconds: Seconds = Field(30.0, description="without a byte from a Job, or without it taking one")
    resources: Resources = Field(
        default_factory=_resources,
        description="JSON: requests and limits of a Job's container",
    )
    gpus: int = Field(0, ge=0, description="GPUs of a Job")
    gpu_resource: str = Field("nvidia.com/gpu", description="the resource that counts them")
    node_selector: dict[str, str] = Field(default_factory=dict, description="JSON: labels of the nodes to run on")
    tolerations: list[dict[str, JsonValue]] = Field(
        default_factory=list, description="JSON: taints of nodes that are tolerated"
    )
    priority_class: str | None = Field(None, description="priority class of a Job's pod")
    runtime_class: str | None = Field(None, description="runtime class of a Job's pod")
    service_account: str | None = Field(None, description="service account of a Job's pod; its token is not mounted")
    volumes: list[dict[str, JsonValue]] = Field(
        default_factory=list, description="JSON: volumes of a Job's pod, such as the silo's data"
    )
    mounts: list[dict[str, JsonValue]] = Field(
        default_factory=list, description="JSON: where these volumes are mounted (`volumeMounts`)"
    )
    run_as_user: int = Field(10001, ge=1, description="user id in a Job's container")
    run_as_group: int = Field(10001, ge=1, description="group id in a Job's container")
    fs_group: int | None = Field(None, ge=1, description="group that volumes are given to; default: as they are")
    labels: dict[str, str] = Field(default_factory=dict, description="JSON: further labels of Jobs and their pods")
    annotations: dict[str, str] = Field(default_factory=dict, description="JSON: further annotations of Jobs' pods")
    work_bytes: int | None = Field(
        None, ge=1, description="room for models and temporary files in a Job's pod, each; default: as the node has"
    )
    deadline_seconds: WholeSeconds = Field(86_400, description="for a Job, from its making on; then it is ended")
    ttl_seconds_after_finished: int = Field(600, ge=0, description="for which a finished Job is kept")
    patience_seconds: Seconds = Field(
        300.0, description="for which a Job goes on without reaching the silo's pod, e.g. while that starts again"
    )
    poll_seconds: Seconds = Field(2.0, description="between two looks at a Job that has not answered")
    retry_seconds: Seconds = Field(10.0, description="between two tries to make a Job that Kubernetes refuses")
    api_timeout_seconds: Seconds = Field(10.0, description="for one request to Kubernetes")
    log_tail_lines: int = Field(
        50, ge=0, le=1000, description="last lines of a Job's log that its failure is told with"
    )
    kubeconfig: Path | None = Field(
        None, description="how Kubernetes is reached; default: as a pod does, by its service account"
    )

    @field_validator("volumes", "mounts")
    @classmethod
    def _check_names(cls, values: list[dict[str, JsonValue]]) -> list[dict[str, JsonValue]]:
        for value in values:
            name = value.get("name")
            if not isinstance(name, str) or name.startswith(OWN_NAMES):
                raise ValueError(f"each needs a name, and none that begins with {OWN_NAMES}")
        return values

    @model_validator(mode="after")
    def _check_mounts(self) -> Self:
        volumes = {volume["name"] for volume in self.volumes}
        for mount in self.mounts:
            if mount["name"] not in volumes:
                raise ValueError(f"mounts: there is no volume {str(mount['name'])[:100]!r}; name it in volumes")
            if str(mount.get("mountPath")).rstrip("/") in OWN_PLACES:
                raise ValueError(f"mounts: {', '.join(OWN_PLACES)} are taken by the Job's own volumes")
        return self


class TrainerSettings(BaseModel):
    """Where the silo trains and evaluates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["process", "job"] = Field(
        "process", description="`process`: in a warm process of the client; `job`: in a Kubernetes Job for each round"
    )
    job: JobSettings | None = Field(None, description="needed by the mode `job`")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mode == "job" and self.job is None:
            raise ValueError(
                "the mode job needs the settings CONSILO_CLIENT_TRAINER__JOB__NAMESPACE, ..IMAGE and others"
            )
        return self
