"""The steps of a silo's part in one run: fetch, train, publish, evaluate. Does network and file I/O.

Each may be cancelled or killed anywhere and begun again: what is finished is found in the work directory, and what is
published on the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from consilo.api.party import Party
from consilo.protocol import keys
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import PublishUpdate, ReportEvaluation
from consilo.protocol.records import ExclusionReason, GlobalModel, Opening
from consilo.protocol.specification import Specification
from consilo.protocol.values import format_number
from consilo.training.errors import ArtifactUnusable
from consilo.training.messages import Progress, RoundContext
from consilo.training.task import training_seed
from services.client.plan import Turn
from services.client.settings import ClientSettings
from services.client.status import StatusBoard
from services.client.trainers import Trainer, Trainers
from services.client.work import RunDirectory, TrainedUpdate, WorkDirectory

log = structlog.get_logger(__name__)

_TRAIN_AGAIN: Final = frozenset({"malformed", "not-finite"})
"""Reasons of exclusion that lie in the model itself; after the others the same file is uploaded again."""


class TooManySamples(Exception):
    """The silo trained on more samples than the run lets it claim."""


class ModelLost(Exception):
    """The trained model's file is not what the training wrote."""


@dataclass(frozen=True)
class Silo:
    """What all runs of a silo share.

    Attributes:
        trainers: make what trains the models of a run.
        board: where it shows what it is doing.
        trainings: as many trainings and evaluations may go on at once.
    """

    party: Party
    settings: ClientSettings
    trainers: Trainers
    directory: WorkDirectory
    board: StatusBoard
    trainings: asyncio.Semaphore


class Steps:
    """The steps for one run."""

    def __init__(self, silo: Silo, run: str, specification: Specification, task: str) -> None:
        self._silo = silo
        self._run = run
        self._specification = specification
        self._files: RunDirectory = silo.directory.run(run)
        self._trainer: Trainer = silo.trainers.trainer(run, task, specification)
        self._sound: Path | None = None  # a global whose content was seen to be right
        self._prepared = False
        self._asked = False  # whether an evaluation was on the ledger before this process made one

    async def update(self, current: Callable[[], Turn]) -> None:
        """Train and publish an update.

        Args:
            current: the silo's turn as it is now: the attempt may change while the round and its base stay.

        Raises:
            WorkerError: the task failed.
            TooManySamples: the run does not let the silo claim so many.
            ModelLost: train again.
            ApiError, TransferError, OSError: see `Party`.
        """
        turn = current()
        await self._prepare()
        await asyncio.to_thread(self._files.clean, *turn.work, self._silo.settings.keep_rounds)
        trained = await self._kept(turn.opening)
        if trained is None:
            trained = await self._train(turn)
        await self._publish(trained, current)

    async def evaluate(self, model: GlobalModel) -> None:
        """Evaluate a global model and report how it does, unless that has been done.

        Raises:
            WorkerError: the task failed.
            ApiError, TransferError, OSError: see `Party`.
        """
        # Only what was there when this process started may have been reported by an earlier one.
        if not self._asked:
            if await self._is_reported(model):
                return
            self._asked = True
        await self._prepare()
        file = await self._global(model)
        await self._load()
        async with self._silo.trainings:
            self._silo.board.phase(self._run, "evaluating")
            reply = await self._trainer.evaluate(file)
        body = ReportEvaluation(
            run=self._run,
            round=model.round,
            attempt=model.attempt,
            sha256=model.artifact.sha256,
            num_samples=reply.num_samples,
            metrics={name: format_number(value) for name, value in reply.metrics.items()},
        )
        await self._silo.party.metadata_publish(body)
        log.info("evaluation reported", round=model.round, num_samples=reply.num_samples, metrics=reply.metrics)

    async def has(self, model: GlobalModel) -> bool:
        """Whether the global model lies in the work directory."""
        return await asyncio.to_thread(self._files.global_file(model.round, model.artifact.sha256).exists)

    @property
    def is_loading(self) -> bool:
        """Whether the task is being loaded."""
        return self._trainer.is_loading

    def warm_up(self, told: Callable[[BaseException | None], None]) -> None:
        """Start to load the task, unless that was begun, for the run is going to need it.

        Args:
            told: is called when it is loaded, with None, or has failed. Who needs the task is told once more.
        """
        self._trainer.warm_up(told)

    async def rest(self) -> None:
        """Let go of the worker and of all files: the run asks for nothing more."""
        await self._trainer.close()
        self._silo.board.loaded(self._run, False)
        self._sound = None
        self._prepared = False
        await asyncio.to_thread(self._files.remove)

    async def close(self) -> None:
        """End the worker."""
        await self._trainer.close()

    async def _prepare(self) -> None:
        if not self._prepared:
            await asyncio.to_thread(self._files.prepare)
            self._prepared = True

    async def _load(self) -> None:
        if not self._trainer.is_loaded:
            self._silo.board.phase(self._run, "loading")
            await self._trainer.load()
            self._silo.board.loaded(self._run, True)

    async def _global(self, model: GlobalModel) -> Path:
        digest = model.artifact.sha256
        file = self._files.global_file(model.round, digest)
        if file != self._sound:
            self._silo.board.phase(self._run, "downloading")
            if not await asyncio.to_thread(self._files.has, file, digest):
                await self._silo.party.data_get(self._run, reference_of(model), model.artifact.organisation, file)
            self._sound = file
        return file

    async def _train(self, turn: Turn) -> TrainedUpdate:
        base = await self._global(turn.base)
        await self._load()
        member, opening = self._silo.party.member, turn.opening
        output = self._files.update_file(*turn.work)
        context = RoundContext(
            run=self._run,
            round=opening.round,
            attempt=opening.attempt,
            seed=training_seed(self._run, opening.round, member),
        )

        def show(progress: Progress) -> None:
            self._silo.board.progress(self._run, progress.fraction, progress.metrics)

        async with self._silo.trainings:
            self._silo.board.phase(self._run, "training")
            log.info("training", round=opening.round, attempt=opening.attempt)
            try:
                reply = await self._trainer.train(base, output, context, show)
            except ArtifactUnusable:
                self._sound = None
                raise
        self._silo.board.progress(self._run, 1.0, reply.metrics)
        trained = TrainedUpdate(
            run=self._run,
            round=opening.round,
            base=opening.base.sha256,
            attempt=opening.attempt,
            sha256=reply.sha256,
            num_samples=reply.num_samples,
            metrics={name: format_number(value) for name, value in reply.metrics.items()},
            artifact=None,
        )
        await asyncio.to_thread(self._files.keep, trained)
        log.info(
            "trained",
            round=opening.round,
            num_samples=reply.num_samples,
            metrics=reply.metrics,
            seconds=round(reply.seconds, 3),
        )
        return trained

    async def _publish(self, trained: TrainedUpdate, current: Callable[[], Turn]) -> None:
        terms = self._specification.terms_of(self._silo.party.member)
        if terms is not None and trained.num_samples > terms.max_samples:  # the ledger would say so after the upload
            raise TooManySamples(
                f"the task trained on {trained.num_samples} samples, but the run lets this silo claim "
                f"{terms.max_samples}: describe fewer samples in CONSILO_CLIENT_DATA, or agree on a run with a larger "
                "max_samples for it"
            )
        self._silo.board.phase(self._run, "publishing")
        if trained.artifact is None:
            file = self._files.update_file(trained.round, trained.base)
            artifact = await self._silo.party.data_put(self._run, file)
            if artifact.sha256 != trained.sha256:
                await asyncio.to_thread(self._files.discard, trained)
                raise ModelLost("the trained model's file has changed since it was written; look after the disk")
            trained = trained.model_copy(update={"artifact": artifact})
            await asyncio.to_thread(self._files.keep, trained)
        assert trained.artifact is not None  # noqa: S101 - set above
        opening = current().opening
        body = PublishUpdate(
            run=self._run,
            round=opening.round,
            attempt=opening.attempt,
            base=trained.base,
            artifact=trained.artifact,
            num_samples=trained.num_samples,
            metrics=trained.metrics,
        )
        await self._silo.party.metadata_publish(body)
        log.info("update published", round=opening.round, attempt=opening.attempt, num_samples=trained.num_samples)

    async def _kept(self, opening: Opening) -> TrainedUpdate | None:
        """An earlier training on the same base, in as far as it is still good."""
        trained = await asyncio.to_thread(self._files.trained, opening.round, opening.base.sha256)
        if trained is None or trained.attempt >= opening.attempt:
            return trained
        reasons = await self._exclusions(opening, trained.attempt)
        if not reasons:
            return trained
        if reasons & _TRAIN_AGAIN:
            log.warning("the last update was excluded; training again", round=opening.round, reasons=sorted(reasons))
            await asyncio.to_thread(self._files.discard, trained)
            return None
        log.warning("the last update was excluded; uploading it again", round=opening.round, reasons=sorted(reasons))
        trained = trained.model_copy(update={"artifact": None, "attempt": opening.attempt})
        await asyncio.to_thread(self._files.keep, trained)
        return trained

    async def _exclusions(self, opening: Opening, after: int) -> set[ExclusionReason]:
        """Why the silo's update was excluded when the attempts after this one were opened, up to the given one."""
        found = list(opening.excluded)
        for attempt in range(after + 1, opening.attempt):
            record = await self._record(keys.opening(self._run, opening.round, attempt))
            if record is not None:
                found.extend(Opening.decode(record.encode()).excluded)
        return {exclusion.reason for exclusion in found if exclusion.member == self._silo.party.member}

    async def _is_reported(self, model: GlobalModel) -> bool:
        """Whether the ledger has the silo's evaluation of this global."""
        key = keys.evaluation(self._run, model.round, model.attempt, self._silo.party.member)
        return await self._record(key) is not None

    async def _record(self, key: str) -> str | None:
        """One record of the ledger (JSON), or None."""
        folder, _, name = key.rpartition("/")
        before = f"{folder}/{name[:-1]}"  # sorts before the key, with few others in between
        gateway = self._silo.party.gateway
        page = await self._silo.party.patience("read the ledger", lambda: gateway.records(f"{folder}/", after=before))
        return next((record.record for record in page.records if record.key == key), None)
