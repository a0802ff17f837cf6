"""The verifier's part in a run: every global model that stands is recomputed and attested, the oldest first.

What is attested is on the ledger; what is kept here only spares looking it up again. Does network I/O.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

import structlog

from consilo.api.follow import Look
from consilo.api.party import Party
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import AttestGlobal
from consilo.protocol.records import Attestation, GlobalModel
from consilo.protocol.retention import is_collectable
from consilo.protocol.specification import Specification
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RunStatus
from consilo.verification.recompute import can_compute
from consilo.verification.stored import check_stored
from consilo.verification.verdicts import Verdict, judge
from services.verifier.settings import VerifierSettings

log = structlog.get_logger(__name__)


@dataclass
class Waiting:
    """A global that is to be attested.

    Attributes:
        model: its record.
        failures: how often its artifacts could not be had.
        not_before: when to try again, on the monotonic clock, seconds.
    """

    model: GlobalModel
    failures: int = 0
    not_before: float = 0.0


@dataclass
class Progress:
    """How far the verifier has come in one generation of a run.

    Attributes:
        generation: the run's.
        seen: all globals up to this round are attested or waiting.
        waiting: by round.
    """

    generation: int
    seen: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)


class Verifier:
    """Attests the globals of the runs that name the member as a verifier.

    Args:
        party: the member, connected.
        settings: which runs, and limits.
    """

    def __init__(self, party: Party, settings: VerifierSettings) -> None:
        self._party = party
        self._settings = settings
        self._progress: dict[str, Progress] = {}

    def concerned(self, status: RunStatus) -> bool:
        """Whether the run names the member as a verifier, in a way that this software can do."""
        specification = status.proposal.specification
        if self._party.member not in specification.verifiers or not self._settings.allows(status.run):
            return False
        return can_compute(specification)

    async def step(self, look: Look) -> float | None:
        """Verify what is new or can be tried again; returns in how many seconds to try again what is left."""
        status = look.status
        approved = {decision.msp for decision in status.approvals}
        if status.latest is None or organisation_of(self._party.member) not in approved:
            return None
        progress = self._progress.get(look.run)
        if progress is None or progress.generation != status.generation:
            progress = self._progress[look.run] = Progress(status.generation)
        await self._find_new(status, status.latest, progress)
        for round_number in sorted(progress.waiting):
            waiting = progress.waiting[round_number]
            if waiting.not_before <= time.monotonic():
                with structlog.contextvars.bound_contextvars(global_round=round_number, attempt=waiting.model.attempt):
                    await self._verify(look, progress, waiting)
        times = [waiting.not_before for waiting in progress.waiting.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    async def _find_new(self, status: RunStatus, latest: GlobalModel, progress: Progress) -> None:
        """Add the globals that stand and are not attested by this verifier, from the last seen on."""
        while progress.seen < latest.round:
            round_number = progress.seen + 1
            model: GlobalModel | None
            attestations: tuple[Attestation, ...]
            if round_number == latest.round:
                model, attestations = latest, status.attestations
            else:
                summary = await self._party.patience(
                    "read the ledger",
                    partial(self._party.gateway.round, status.run, round_number - 1),
                )
                model, attestations = summary.model, summary.attestations
            if model is not None and all(said.verifier != self._party.member for said in attestations):
                progress.waiting[round_number] = Waiting(model)
            progress.seen = round_number

    async def _verify(self, look: Look, progress: Progress, waiting: Waiting) -> None:
        """Attest a global, or put it off until its artifacts can be had."""
        model, specification = waiting.model, look.status.proposal.specification
        started = time.monotonic()
        verdict = await look.keep(
            self._verdict(specification, model), lambda status: status.generation == progress.generation
        )
        if verdict is None or verdict.word is None:
            self._put_off(look.status, progress, waiting)
            return
        log.info(
            "global recomputed",
            verdict=verdict.word,
            detail=verdict.detail,
            bytes_read=len(model.inputs) * specification.tensors.artifact_bytes,
            seconds=round(time.monotonic() - started, 3),
        )
        await self._party.metadata_publish(
            AttestGlobal(
                run=model.run,
                round=model.round,
                attempt=model.attempt,
                sha256=model.artifact.sha256,
                verdict=verdict.word,
                detail=verdict.detail,
            )
        )
        log.info("global attested", verdict=verdict.word)
        del progress.waiting[model.round]

    async def _verdict(self, specification: Specification, model: GlobalModel) -> Verdict | None:
        """What is to be said of a global; None when that cannot be known now."""
        verdict = await judge(self._party, specification, model, self._settings.compute)
        for fault in verdict.faults:
            log.warning("update unusable", member=fault.member, reason=fault.reason, detail=fault.detail)
        if verdict.word == "ok" and self._settings.fetch_globals and not await self._is_served(model):
            return None
        return verdict

    async def _is_served(self, model: GlobalModel) -> bool:
        """Whether the global's own artifact can be had, with the recorded digest."""
        stored = await check_stored(self._party, model.run, reference_of(model), model.artifact)
        if stored.condition != "ok":
            log.warning("the global itself cannot be had", condition=stored.condition, detail=stored.detail)
        return stored.condition == "ok"

    def _put_off(self, status: RunStatus, progress: Progress, waiting: Waiting) -> None:
        model, retention = waiting.model, status.proposal.specification.retention_rounds
        latest = -1 if status.latest is None else status.latest.round
        if is_collectable(retention, model.round - 1, latest):  # its inputs
            log.info("not attested: the run's retention is over")
            del progress.waiting[model.round]
            return
        limits = self._settings
        seconds = min(limits.retry_first_seconds * 2 ** min(waiting.failures, 32), limits.retry_longest_seconds)
        waiting.failures += 1
        waiting.not_before = time.monotonic() + seconds
        log.warning("not attested yet: artifacts cannot be had", again_in_seconds=seconds, failures=waiting.failures)
