"""Runs and rounds for programs, and the rounds of a run as they come. Pure but for `Results.update`: network I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consilo.api.party import Party
from consilo.protocol.records import Attestation, Evaluation, GlobalModel, Opening, Selection, Update
from consilo.protocol.specification import Specification
from consilo.protocol.values import organisation_of, parse_number
from consilo.protocol.views import RoundSummary, RunStatus


def status_as_json(status: RunStatus) -> dict[str, Any]:
    """Where a run stands; the names of the fields are stable."""
    specification, attempt, latest = status.proposal.specification, status.attempt, status.latest
    return {
        "run": status.run,
        "state": status.state,
        "proposed_by": status.proposal.proposed_by,
        "proposed_at": status.proposal.proposed_at,
        "specification_digest": status.specification_digest,
        "task": specification.task.name,
        "rounds": specification.rounds,
        "approvals": [decision.msp for decision in status.approvals],
        "approvals_required": specification.approvals_required,
        "rejections": [decision.msp for decision in status.rejections],
        "stops": [decision.msp for decision in status.stops],
        "generation": status.generation,
        "latest": None if latest is None else global_as_json(latest),
        "attempt": None
        if attempt is None
        else {
            "round": attempt.opening.round,
            "attempt": attempt.opening.attempt,
            "deadline_at": attempt.opening.deadline_at,
            "closed": attempt.selection is not None,
            "silos": silo_states(specification, approved(status), attempt.opening, attempt.updates, attempt.selection),
        },
        "attestations": [_attestation_as_json(attestation) for attestation in status.attestations],
    }


def round_as_json(summary: RoundSummary) -> dict[str, Any]:
    """One round; the names of the fields are stable."""
    selection, model = summary.selection, summary.model
    return {
        "round": summary.round,
        "attempt": summary.opening.attempt,
        "opened_at": summary.opening.opened_at,
        "deadline_at": summary.opening.deadline_at,
        "base": summary.opening.base.sha256,
        "cohort": list(summary.opening.cohort),
        "updates": [
            {
                "member": update.member,
                "attempt": update.attempt,
                "sha256": update.artifact.sha256,
                "num_samples": update.num_samples,
                "metrics": dict(update.metrics),
                "published_at": update.published_at,
            }
            for update in summary.updates
        ],
        "selected": None if selection is None else [each.member for each in selection.selected],
        "left_out": None
        if selection is None
        else [{"member": each.member, "reason": each.reason} for each in selection.left_out],
        "closed_by": None if selection is None else selection.closed_by,
        "global": None if model is None else global_as_json(model),
        "attestations": [_attestation_as_json(attestation) for attestation in summary.attestations],
        "evaluations": [
            {"member": each.member, "num_samples": each.num_samples, "metrics": dict(each.metrics)}
            for each in summary.evaluations
        ],
        "metrics": results_of(summary),
    }


def results_of(summary: RoundSummary | None) -> dict[str, float]:
    """How the global that a round made does: each metric's mean over the silos' evaluations, weighted by samples."""
    evaluations: Sequence[Evaluation] = () if summary is None else summary.evaluations
    names = sorted({name for evaluation in evaluations for name in evaluation.metrics})
    means = {}
    for name in names:
        having = [evaluation for evaluation in evaluations if name in evaluation.metrics]
        samples = sum(evaluation.num_samples for evaluation in having)
        means[name] = sum(parse_number(each.metrics[name]) * (each.num_samples / samples) for each in having)
    return means


def approved(status: RunStatus) -> frozenset[str]:
    """The organisations that approved a run."""
    return frozenset(decision.msp for decision in status.approvals)


def silo_states(
    specification: Specification,
    organisations: frozenset[str],
    opening: Opening,
    updates: Sequence[Update],
    selection: Selection | None,
) -> list[dict[str, Any]]:
    """What each silo of a run does in an attempt.

    `state` is `training`, `published`, `selected`, `left-out`, `late` (asked, but the round closed without it),
    `excluded`, `not-asked` or `not-approved`.
    """
    published = {update.member: update for update in updates}
    selected = frozenset(() if selection is None else (each.member for each in selection.selected))
    excluded = {exclusion.member: exclusion.reason for exclusion in opening.excluded}
    left_out: dict[str, str] = {each.member: each.reason for each in selection.left_out} if selection else {}
    found: list[dict[str, Any]] = []
    for terms in specification.silos:
        member = terms.member
        reason: str | None = None
        update = published.get(member)
        if update is not None:
            state = "published" if selection is None else "selected" if member in selected else "left-out"
            reason = left_out.get(member)
        elif organisation_of(member) not in organisations:
            state = "not-approved"
        elif member not in opening.cohort:
            state = "not-asked"
        elif member in excluded:
            state, reason = "excluded", excluded[member]
        else:
            state = "training" if selection is None else "late"
        found.append(
            {
                "member": member,
                "state": state,
                "reason": reason,
                "num_samples": None if update is None else update.num_samples,
                "metrics": {} if update is None else dict(update.metrics),
            }
        )
    return found


class Results:
    """The rounds that a run has completed, as they come."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.latest: RoundSummary | None = None
        self._next: int | None = None

    async def update(self, party: Party, status: RunStatus) -> list[RoundSummary]:
        """Read what is new; returns the rounds that are to be told now.

        A round is told once: when all silos that take part have evaluated its global, else when the next one is over
        or the run is. Of the rounds before the first call only the last is told.
        """
        made = 0 if status.latest is None else status.latest.round
        if made == 0:
            self.latest = None
            return []
        if self._next is None:
            self._next = made - 1
        self._next = min(self._next, made)  # an annulment takes a run back
        self.latest = await self._round(party, status.run, made - 1)
        told = [await self._round(party, status.run, number) for number in range(self._next, made - 1)]
        self._next = max(self._next, made - 1)
        silos = [t for t in status.proposal.specification.silos if organisation_of(t.member) in approved(status)]
        whole = len(self.latest.evaluations) >= len(silos) or status.state in {"finished", "stopped"}
        if self._next < made and whole:
            told.append(self.latest)
            self._next = made
        return told

    @staticmethod
    async def _round(party: Party, run: str, number: int) -> RoundSummary:
        return await party.patience("read the ledger", lambda: party.gateway.round(run, number))


def global_as_json(model: GlobalModel) -> dict[str, Any]:
    """A global model; the names of the fields are stable."""
    return {
        "round": model.round,
        "attempt": model.attempt,
        "sha256": model.artifact.sha256,
        "size_bytes": model.artifact.size_bytes,
        "organisation": model.artifact.organisation,
        "published_by": model.published_by,
        "published_at": model.published_at,
    }


def _attestation_as_json(attestation: Attestation) -> dict[str, Any]:
    return {"verifier": attestation.verifier, "verdict": attestation.verdict, "detail": attestation.detail}
