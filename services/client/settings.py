"""Settings of the client service: from the environment (`CONSILO_CLIENT_...`) or the command line. Reads no files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from consilo.api.settings import ApiSettings
from consilo.hosting.start import ServiceSettings
from consilo.training.worker_process import WorkerSettings
from services.client.jobs.settings import TrainerSettings

Seconds = Annotated[float, Field(gt=0, le=100 * 86_400)]

_LABEL: Final = r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,127}"
_TASK: Final = re.compile(f"{_LABEL}@{_LABEL}")
_CLASS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class PolicySettings(BaseModel):
    """Which runs the silo joins. A run must pass all of it, and its task must be installed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    proposers: list[str] = Field(
        default_factory=list, description="MSP ids whose proposals are joined; default: anyone's"
    )
    runs: list[str] = Field(
        default_factory=lambda: ["*"], description="shell patterns of names of runs that are joined; default: any"
    )


class RetrySettings(BaseModel):
    """What is done when a task, a transfer or a record fails for a reason that may pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tries: int = Field(3, ge=1, description="in one attempt of a round; then the silo waits for the next attempt")
    first_wait_seconds: Seconds = Field(1.0, description="before the second try; doubles with each")
    longest_wait_seconds: Seconds = Field(60.0, description="longest wait before a try")


class WorkerLimits(BaseModel):
    """The process that runs the task's code. It sees no key, token or setting of this service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int | None = Field(
        None, ge=1, description="threads of numerical libraries; default: as OMP_NUM_THREADS says, else 1"
    )
    load_timeout_seconds: Seconds = Field(900.0, description="to import the task and load its data")
    evaluate_timeout_seconds: Seconds = Field(3600.0, description="for an evaluation")
    train_timeout_seconds: Seconds | None = Field(None, description="for a training; default: until its round closes")
    stop_grace_seconds: Seconds = Field(5.0, description="for a training to stop by itself; then it is killed")
    progress_interval_seconds: Seconds = Field(0.5, description="between two reports of progress, at least")
    environment: dict[str, str] = Field(
        default_factory=dict, description="further variables of the worker's environment; none begins with CONSILO_"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.worker_settings()  # refuses variables that a worker must not get
        return self

    def worker_settings(self) -> WorkerSettings:
        """As the worker's handle takes them."""
        threads = {} if self.threads is None else dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
        return WorkerSettings(
            load_timeout_seconds=self.load_timeout_seconds,
            evaluate_timeout_seconds=self.evaluate_timeout_seconds,
            train_timeout_seconds=self.train_timeout_seconds,
            stop_grace_seconds=self.stop_grace_seconds,
            progress_interval_seconds=self.progress_interval_seconds,
            environment={**threads, **self.environment},
        )


class ClientSettings(ServiceSettings):
    """One silo: trains in the runs that it joins, and publishes its updates."""

    model_config = SettingsConfigDict(
        env_prefix="CONSILO_CLIENT_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="python -m services.client",
        cli_implicit_flags=True,
    )

    identity: Path = Field(description="directory of the silo's identity (role `silo`)")
    gateway_url: str = Field(description="base URL of the ledger service of the silo's organisation")
    work_directory: Path = Field(
        description="directory for models of the current round; made if missing; one client at a time may use it"
    )
    tasks: Annotated[dict[str, str], Field(min_length=1)] = Field(
        description="JSON: the tasks that are installed here, by name and version as runs name them, e.g. "
        '`{"digits@1": "consilo.tasks.digits:Digits"}`'
    )
    data: dict[str, JsonValue] = Field(
        default_factory=dict, description="JSON: where the silo's data are, in the words of its tasks"
    )
    data_file: Path | None = Field(None, description="JSON file in place of `data`")
    policy: PolicySettings = Field(default_factory=PolicySettings, description="which runs the silo joins")
    evaluate: bool = Field(
        True, description="evaluate the global models that it trains on, and the last one, and report how they do"
    )
    max_trainings: int = Field(1, ge=1, description="runs that may train or evaluate at the same time; others wait")
    keep_rounds: int = Field(1, ge=1, description="rounds of a run whose models stay on disk, the current one included")
    retries: RetrySettings = Field(default_factory=RetrySettings, description="after a failure")
    worker: WorkerLimits = Field(default_factory=WorkerLimits, description="the process that trains")
    trainer: TrainerSettings = Field(default_factory=TrainerSettings, description="where that process is")
    api: ApiSettings = Field(default_factory=ApiSettings, description="waits and limits towards gateways and stores")
    host: str = Field("127.0.0.1", description="address to listen on; the status page needs no token: keep it inside")
    port: int = Field(8070, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_connections: int = Field(64, ge=1, description="connections at once; more are answered 503")
    shutdown_grace_seconds: int = Field(2, ge=0, description="for requests in flight when told to end")

    @field_validator("tasks")
    @classmethod
    def _check_tasks(cls, tasks: dict[str, str]) -> dict[str, str]:
        for name, place in tasks.items():
            if not _TASK.fullmatch(name):
                raise ValueError(f"{name[:100]!r} is not name@version, e.g. digits@1")
            if not _CLASS.fullmatch(place):
                raise ValueError(f"{place[:100]!r} is not module:Class, e.g. consilo.tasks.digits:Digits")
        return tasks

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        if self.data and self.data_file is not None:
            raise ValueError("give either data or data_file")
        return self
