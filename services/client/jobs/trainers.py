"""Makes the trainers of a silo that trains in Jobs. Async; listens on a socket, and uses the runner of Jobs."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from consilo.protocol.specification import Specification
from consilo.training.job_messages import JobLimits
from services.client.jobs.office import JobOffice
from services.client.jobs.runner import RunnerUnusable
from services.client.jobs.trainer import JobTerms, JobTrainer
from services.client.settings import ClientSettings
from services.client.trainers import TrainersNotReady


class JobTrainers:
    """Trainers by Jobs. A `Trainers`.

    Args:
        office: of the silo.
        settings: of the client.
        member: id of the silo.
        data: what its operator says about the data.
    """

    def __init__(self, office: JobOffice, settings: ClientSettings, member: str, data: Mapping[str, Any]) -> None:
        self._office = office
        self._member = member
        self._data = data
        self._limits = JobLimits.of(settings.worker.worker_settings())
        self._evaluates = settings.evaluate

    async def __aenter__(self) -> Self:
        """Listen for Jobs."""
        await self._office.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        await self._office.__aexit__(kind, error, trace)

    def trainer(self, run: str, task: str, specification: Specification) -> JobTrainer:
        """The trainer of a run, with the task `module:Class`."""
        terms = JobTerms(self._member, run, task, specification, self._data, self._limits, self._evaluates)
        return JobTrainer(self._office, terms)

    async def check(self) -> None:
        """Return when Jobs can be made.

        Raises:
            TrainersNotReady: they cannot.
        """
        try:
            await self._office.check()
        except RunnerUnusable as error:
            raise TrainersNotReady(str(error)) from None
