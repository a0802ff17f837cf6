"""The silo at work: connected to its gateway, following the runs that it joins. Does network I/O, starts processes."""

from __future__ import annotations

import asyncio

import structlog

from consilo.api.errors import ApiError
from consilo.api.follow import Look, follow_runs
from consilo.api.heads import HeadMemory
from consilo.api.party import Party
from consilo.identity.identity import Identity
from consilo.protocol.views import RunStatus
from services.client import policy
from services.client.rounds import SiloRun
from services.client.settings import ClientSettings
from services.client.status import StatusBoard
from services.client.steps import Silo
from services.client.trainers import Trainers, TrainersNotReady
from services.client.work import WorkDirectory

log = structlog.get_logger(__name__)


class NotReady(Exception):
    """The silo cannot reach its gateway, or what trains. The message says why."""


class Agent:
    """One silo.

    Args:
        settings: limits, policy, tasks.
        identity: of the silo.
        trainers: make what trains its models.
        directory: its work directory.

    Attributes:
        board: what it is doing.
    """

    def __init__(
        self, settings: ClientSettings, *, identity: Identity, trainers: Trainers, directory: WorkDirectory
    ) -> None:
        self.board = StatusBoard(identity.member)
        self._settings = settings
        self._identity = identity
        self._trainers = trainers
        self._directory = directory
        self._silo: Silo | None = None
        self._runs: dict[str, SiloRun] = {}

    async def run(self) -> None:
        """Take part until cancelled.

        Raises:
            LedgerRolledBack: the ledger lost blocks.
            ApiError: the gateway refuses the silo, or is none.
        """
        memory = HeadMemory(self._directory.head_file)
        party = Party(self._identity, self._settings.gateway_url, settings=self._settings.api, memory=memory)
        log.info("starting", member=party.member, tasks=sorted(self._settings.tasks))
        async with self._trainers, party:
            log.info("connected", ledger=party.ledger)
            self._silo = Silo(
                party=party,
                settings=self._settings,
                trainers=self._trainers,
                directory=self._directory,
                board=self.board,
                trainings=asyncio.Semaphore(self._settings.max_trainings),
            )
            try:
                await follow_runs(party, concerned=self._concerned, step=self._step)
            finally:
                await asyncio.gather(*(run.close() for run in self._runs.values()))

    async def check(self) -> None:
        """Return when the gateway answers, and trainings can begin.

        Raises:
            NotReady: it does not, or has not yet, or they cannot.
        """
        if self._silo is None:
            raise NotReady("the gateway has not been reached yet")
        try:
            await self._silo.party.gateway.info()
            await self._trainers.check()
        except (ApiError, TrainersNotReady) as error:
            raise NotReady(str(error)) from None

    def _concerned(self, status: RunStatus) -> bool:
        if status.run in self._runs:
            return True
        if self._silo is None or not policy.names(status, self._identity.member):
            return False
        objection = policy.objection(status, self._settings)
        if objection is not None:
            log.warning("not joining a run that names this silo", because=objection)
            self._directory.run(status.run).remove()  # of a time when the policy was another
            return False
        log.info("joining a run", proposed_by=status.proposal.proposed_by, state=status.state)
        self._runs[status.run] = SiloRun(self._silo, status)
        return True

    async def _step(self, look: Look) -> float | None:
        return await self._runs[look.run].step(look)
