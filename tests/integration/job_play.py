"""A silo that trains in Jobs, without a ledger: the office with a real listener, and Jobs that are processes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from consilo.aggregation import schema_of, write_artifact
from consilo.protocol.specification import Specification
from consilo.training.job_messages import JobLimits
from consilo.training.messages import EvaluationReply, Progress, RoundContext, TrainingReply
from consilo.training.task import State
from consilo.training.worker_process import WorkerSettings
from services.client.jobs.office import JobOffice
from services.client.jobs.settings import JobSettings
from services.client.jobs.trainer import JobTerms, JobTrainer
from tests.integration.consortium import until_true
from tests.job_processes import ROOT, JobProcesses
from tests.simulators import Consortium

MEMBER: Final = "HospitalA/silo"
WATCHED: Final = "tests.integration.client_tasks:Watched"
WEIGHTS: Final[State] = {"weights": np.zeros(2, np.float32)}


def simulated_specification() -> Specification:
    """The specification of a run of the simulator."""
    simulated = Consortium(silos=1)
    simulated.proposed()
    return simulated.status.proposal.specification


def job_settings(**values: Any) -> JobSettings:
    defaults = {
        "namespace": "hospital-a",
        "pod_name": "silo-0",
        "pod_uid": "b2a4",
        "pod_address": "127.0.0.1",
        "image": "consilo",
        "port": 0,
        "poll_seconds": 0.05,
    }
    return JobSettings.model_validate({**defaults, **values})


class JobPlay:
    """The silo's directory, which outlives its offices as a work directory outlives processes of a client."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.jobs = JobProcesses(directory / "pods")
        self.base = directory / "base"
        write_artifact(self.base, schema_of(WEIGHTS), WEIGHTS)
        self.output = directory / "output"
        self.progress: list[Progress] = []
        self.port = 0

    @asynccontextmanager
    async def office(self, **settings: Any) -> AsyncIterator[JobOffice]:
        """The office of one process of the client; the next one has the same address."""
        office = JobOffice(
            job_settings(port=self.port, **settings),
            member=MEMBER,
            directory=self.directory / "jobs",
            runner=self.jobs,
        )
        self.port = int(office.url.split(":")[2].split("/")[0])
        async with office:
            yield office

    def trainer(self, office: JobOffice, *, run: str = "trial", evaluates: bool = True, **changes: Any) -> JobTrainer:
        """The trainer of a run with the task `Watched`, whose directory is the play's."""
        specification = simulated_specification()
        task = specification.task.model_copy(update={"name": "watched", "version": "1", "parameters": {}})
        terms = JobTerms(
            member=MEMBER,
            run=run,
            task=changes.get("task", WATCHED),
            specification=specification.model_copy(update={"task": task, "tensors": schema_of(WEIGHTS)}),
            data={"directory": str(self.directory), **changes.get("data", {})},
            limits=JobLimits.of(
                WorkerSettings(
                    progress_interval_seconds=0.01,
                    stop_grace_seconds=2.0,
                    environment={"PYTHONPATH": str(ROOT)},
                    **changes.get("limits", {}),
                )
            ),
            evaluates=evaluates,
        )
        return JobTrainer(office, terms)

    async def train(self, trainer: JobTrainer, *, round: int = 3, attempt: int = 1) -> TrainingReply:
        context = RoundContext(run="trial", round=round, attempt=attempt, seed=7)
        return await trainer.train(self.base, self.output, context, self.progress.append)

    async def begin(self, trainer: JobTrainer, *, round: int = 3) -> asyncio.Task[TrainingReply]:
        """Begin a training, and wait until its task says so."""
        before = len(self.lines("trainings"))
        training = asyncio.create_task(self.train(trainer, round=round))
        await until_true(lambda: training.done() or len(self.lines("trainings")) > before, "the training to begin")
        return training

    async def evaluate(self, trainer: JobTrainer) -> EvaluationReply:
        return await trainer.evaluate(self.base)

    def lines(self, file: str) -> list[str]:
        path = self.directory / file
        return path.read_text().splitlines() if path.exists() else []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the block trainings do not end."""
        (self.directory / "hold").touch()
        try:
            yield
        finally:
            (self.directory / "hold").unlink(missing_ok=True)

    def remembered(self) -> list[str]:
        """The Jobs that the silo remembers."""
        return sorted(path.name for path in (self.directory / "jobs").iterdir())


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def alive(pid: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


__all__ = ["MEMBER", "WATCHED", "WEIGHTS", "JobPlay", "alive", "digest", "job_settings"]
