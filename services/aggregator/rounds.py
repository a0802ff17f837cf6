"""The aggregator's part in a run: the server's loop of the protocol's paper, one look at the ledger at a time.

Keeps nothing that matters: what is due follows from the ledger alone, so it may be killed anywhere and started again
(an object that was put into the store and not recorded is an orphan). Another aggregator may do the same at the same
time: the ledger admits one outcome, and who comes second is refused and looks again. Does network I/O.
"""

from __future__ import annotations

import time

import structlog

from consilo.aggregation import InputsInvalid, InputsRefused, ResultNotFinite
from consilo.api.follow import UPDATE, Look, moves_run
from consilo.api.gateway import now_ms
from consilo.api.party import Party
from consilo.protocol.apply import Event
from consilo.protocol.bodies import CloseRound, PublishGlobal, ReopenRound
from consilo.protocol.records import Exclusion, Selection
from consilo.protocol.specification import Artifact
from consilo.protocol.values import organisation_of
from consilo.protocol.views import Attempt, RunStatus
from consilo.verification.recompute import can_compute, recompute
from services.aggregator.arrivals import Arrivals
from services.aggregator.settings import AggregatorSettings

log = structlog.get_logger(__name__)


class Aggregator:
    """Does what is due in the runs that name the member as an aggregator.

    Args:
        party: the member, connected.
        settings: which runs, and limits.
    """

    def __init__(self, party: Party, settings: AggregatorSettings) -> None:
        self._party = party
        self._settings = settings
        self._hopeless: set[tuple[str, int, int]] = set()
        """Attempts whose selection cannot lead to a global, whoever computes it. Forgotten at the end: found again."""
        self._arrivals: dict[str, Arrivals] = {}

    def concerned(self, status: RunStatus) -> bool:
        """Whether the run names the member as an aggregator, in a way that this software can do."""
        specification = status.proposal.specification
        if self._party.member not in specification.aggregators or not self._settings.allows(status.run):
            return False
        return can_compute(specification)

    def matters(self, event: Event, at_work: bool) -> bool:
        """Whether an event is a reason to look at its run: all that moves it, and updates that may close a round."""
        if event.type != UPDATE or event.run is None or event.round is None or event.attempt is None:
            return moves_run(event)
        arrivals = self._arrivals.get(event.run)
        return arrivals is None or arrivals.arrived((event.round, event.attempt), event.member)

    async def step(self, look: Look) -> float | None:
        """Do what is due; returns in how many seconds something may be, if nothing happens."""
        status = look.status
        if status.state != "active" or self._place_in_line(status) is None:
            return None
        if status.latest is None:
            await self._publish_initial(status)
            return None
        if status.attempt is None:
            return None
        self._arrivals.setdefault(look.run, Arrivals()).see(status.attempt, status.proposal.specification.threshold)
        with structlog.contextvars.bound_contextvars(
            round=status.attempt.opening.round, attempt=status.attempt.opening.attempt
        ):
            if status.attempt.selection is None:
                return await self._close_or_wait(status.run, status.attempt)
            return await self._aggregate_or_wait(look, status.attempt, status.attempt.selection)

    def _place_in_line(self, status: RunStatus) -> int | None:
        """0 for the first of the aggregators that may act; None when the own organisation has not approved."""
        approved = {decision.msp for decision in status.approvals}
        line = [m for m in status.proposal.specification.aggregators if organisation_of(m) in approved]
        return line.index(self._party.member) if self._party.member in line else None

    async def _publish_initial(self, status: RunStatus) -> None:
        specification = status.proposal.specification
        await self._party.metadata_publish(
            PublishGlobal(
                run=status.run,
                round=0,
                attempt=0,
                artifact=specification.initial,
                inputs=(),
                strategy=specification.strategy,
            )
        )
        log.info("global published", global_round=0, sha256=specification.initial.sha256)

    async def _close_or_wait(self, run: str, attempt: Attempt) -> float | None:
        """Close the attempt when it may be closed, open the next one when its time is over, else wait for either."""
        opening, closable = attempt.opening, attempt.closable_from
        due_at = attempt.reopenable_from if closable is None else closable
        # What may be closed from its opening on is closed, though the ledger's clock be ahead of the one here.
        if due_at > opening.opened_at and (left := _seconds_until(due_at)) > 0:
            return left
        if closable is None:
            await self._reopen(run, attempt, ())
            return None
        await self._party.metadata_publish(
            CloseRound(run=run, round=opening.round, attempt=opening.attempt, updates=attempt.updates_digest)
        )
        log.info("round closed", updates=len(attempt.updates))
        return None

    async def _aggregate_or_wait(self, look: Look, attempt: Attempt, selection: Selection) -> float | None:
        """Make the next global, or exclude the updates of which none can be made."""
        opening = attempt.opening
        standby_ms = int(self._settings.standby_seconds * 1000) * (self._place_in_line(look.status) or 0)
        if standby_ms and (left := _seconds_until(selection.closed_at + standby_ms)) > 0:
            return left
        name = (look.run, opening.round, opening.attempt)
        if name in self._hopeless:
            if (left := _seconds_until(attempt.reopenable_from)) > 0:
                return left
            await self._reopen(look.run, attempt, ())
            return None
        try:
            made = await look.keep(self._compute(look.status, selection), lambda status: _is_current(status, attempt))
        except InputsRefused as refused:
            return await self._exclude(look.run, attempt, selection, refused)
        except (InputsInvalid, ResultNotFinite) as error:
            # No update is at fault, so none can be excluded; with others the next attempt may lead further.
            self._hopeless.add(name)
            log.warning("no global can be made of this selection", code=error.code, reason=str(error))
            return max(0.0, _seconds_until(attempt.reopenable_from))
        await self._publish(look.status, selection, made)
        return None

    async def _compute(self, status: RunStatus, selection: Selection) -> Artifact:
        """Aggregate straight into the own organisation's store."""
        specification, started = status.proposal.specification, time.monotonic()
        size_bytes = specification.tensors.artifact_bytes
        place = await self._party.patience("find a place", lambda: self._party.place_to_put(status.run, size_bytes))
        result = await recompute(
            self._party,
            status.run,
            specification,
            selection.round,
            selection.selected,
            settings=self._settings.compute,
            place=place,
        )
        log.info(
            "updates aggregated",
            inputs=len(selection.selected),
            bytes_read=size_bytes * len(selection.selected),
            bytes_written=size_bytes,
            seconds=round(time.monotonic() - started, 3),
        )
        return self._party.artifact(place, result.sha256)

    async def _publish(self, status: RunStatus, selection: Selection, artifact: Artifact) -> None:
        await self._party.metadata_publish(
            PublishGlobal(
                run=status.run,
                round=selection.round + 1,
                attempt=selection.attempt,
                artifact=artifact,
                inputs=selection.selected,
                strategy=status.proposal.specification.strategy,
            )
        )
        log.info("global published", global_round=selection.round + 1, sha256=artifact.sha256)

    async def _exclude(self, run: str, attempt: Attempt, selection: Selection, refused: InputsRefused) -> float | None:
        """Reopen the round without the updates that cannot be used."""
        for fault in refused.faults:
            log.warning("update unusable", member=fault.member, reason=fault.reason, detail=fault.detail)
        nothing_came = len(refused.faults) == len(selection.selected) > 1 and all(
            fault.reason == "unavailable" for fault in refused.faults
        )
        if nothing_came and _seconds_until(selection.publish_by) > 0:
            # Rather this organisation's network than all the others' stores: no reason to blame them yet.
            log.warning("no update at all can be had; trying again", until=selection.publish_by)
            return self._settings.api.backoff_longest_seconds
        await self._reopen(
            run, attempt, tuple(Exclusion(member=fault.member, reason=fault.reason) for fault in refused.faults)
        )
        return None

    async def _reopen(self, run: str, attempt: Attempt, excluded: tuple[Exclusion, ...]) -> None:
        opening = attempt.opening
        await self._party.metadata_publish(
            ReopenRound(run=run, round=opening.round, attempt=opening.attempt, excluded=excluded)
        )
        log.info("round reopened", updates=len(attempt.updates), excluded=[exclusion.member for exclusion in excluded])


def _is_current(status: RunStatus, attempt: Attempt) -> bool:
    """Whether the attempt still waits for its global."""
    current = status.attempt
    return (
        status.state == "active"
        and current is not None
        and (current.opening.round, current.opening.attempt) == (attempt.opening.round, attempt.opening.attempt)
    )


def _seconds_until(milliseconds: int) -> float:
    return (milliseconds - now_ms()) / 1000
