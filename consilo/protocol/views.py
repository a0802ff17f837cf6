"""What the records of a run add up to, for those who act on it or show it. Pure; no I/O.

Nothing here decides anything: the transitions do. A status costs a number of reads that grows with the logarithm of the
rounds, so that the three hundredth round is looked up as fast as the first.
"""

from __future__ import annotations

from typing import Literal

from consilo.protocol import keys
from consilo.protocol.closing import closable_from, reopenable_from
from consilo.protocol.model import Record
from consilo.protocol.records import (
    Attestation,
    Decision,
    Evaluation,
    Generation,
    GlobalModel,
    Opening,
    Proposal,
    RoundEntry,
    Selection,
    Update,
)
from consilo.protocol.refusals import Refusal
from consilo.protocol.rounds import Run, counting_updates, latest_generation, load_run, selection_of
from consilo.protocol.selection import updates_digest
from consilo.protocol.state import State, read

RunState = Literal["proposed", "active", "rejected", "stopped", "finished"]


class Attempt(Record):
    """The current attempt of a run, and what has come of it.

    `closable_from` and `reopenable_from` are times (milliseconds since the epoch); None: more updates are needed first.
    """

    opening: Opening
    updates: tuple[Update, ...]
    updates_digest: str
    selection: Selection | None
    closable_from: int | None
    reopenable_from: int


class RunStatus(Record):
    """Where a run stands: enough for any of its members to know what to do next.

    Attributes:
        latest: the newest global model that stands (in the current generation), or None before global 0.
        attempt: the current attempt, or None before global 0, after the last one, and while attestations are awaited.
        attestations: those of `latest`.
    """

    run: str
    state: RunState
    proposal: Proposal
    specification_digest: str
    approvals: tuple[Decision, ...]
    rejections: tuple[Decision, ...]
    stops: tuple[Decision, ...]
    generation: int
    latest: GlobalModel | None
    attempt: Attempt | None
    attestations: tuple[Attestation, ...]


class RoundSummary(Record):
    """One round as it stands: the attempt that counts, and what was reported on the global that it made."""

    round: int
    opening: Opening
    updates: tuple[Update, ...]
    selection: Selection | None
    model: GlobalModel | None
    attestations: tuple[Attestation, ...]
    evaluations: tuple[Evaluation, ...]


def run_names(state: State) -> list[str]:
    """Names of all runs that were proposed, sorted."""
    prefix = keys.runs()
    return [key.removeprefix(prefix) for key, _ in state.range(prefix, keys.end_of(prefix))]


def run_status(state: State, name: str) -> RunStatus:
    """Where a run stands.

    Raises:
        Refusal: `run-unknown`.
    """
    run = load_run(state, name)
    generation = latest_generation(state, name)
    round_number = _latest_round(state, name, generation)
    attempt = None if round_number is None else _current(state, run, generation, round_number)
    latest = _latest_global(state, name, generation, attempt)
    finished = state.get(keys.finished(name, generation)) is not None
    over = latest is not None and attempt is not None and latest.round > attempt.opening.round
    return RunStatus(
        run=name,
        state=_run_state(state, name, finished=finished),
        proposal=run.proposal,
        specification_digest=run.specification.digest(),
        approvals=_decisions(state, run, "approval"),
        rejections=_decisions(state, run, "rejection"),
        stops=_decisions(state, run, "stop"),
        generation=generation,
        latest=latest,
        attempt=None if over else attempt,
        attestations=() if latest is None else _attestations(state, run, latest),
    )


def round_summary(state: State, name: str, round_number: int) -> RoundSummary:
    """One round, as its last attempt left it.

    Raises:
        Refusal: `run-unknown`, or `attempt-not-open` when the round was never opened.
    """
    run = load_run(state, name)
    opening = _last_opening(state, name, round_number, 1)
    model = read(state, keys.global_model(name, round_number + 1, opening.attempt), GlobalModel)
    return RoundSummary(
        round=round_number,
        opening=opening,
        updates=tuple(counting_updates(state, opening)),
        selection=selection_of(state, name, round_number, opening.attempt),
        model=model,
        attestations=() if model is None else _attestations(state, run, model),
        evaluations=() if model is None else evaluations_of(state, run, model),
    )


def evaluations_of(state: State, run: Run, model: GlobalModel) -> tuple[Evaluation, ...]:
    """The silos' evaluations of a global model, sorted by member."""
    found = (
        read(state, keys.evaluation(run.name, model.round, model.attempt, terms.member), Evaluation)
        for terms in run.specification.silos
    )
    return tuple(evaluation for evaluation in found if evaluation is not None)


def _run_state(state: State, name: str, *, finished: bool) -> RunState:
    if finished:
        return "finished"
    markers: tuple[tuple[str, RunState], ...] = (
        ("stopped", "stopped"),
        ("activated", "active"),
        ("rejected", "rejected"),
    )
    return next((word for marker, word in markers if state.get(keys.run(name, marker)) is not None), "proposed")


def _decisions(state: State, run: Run, kind: str) -> tuple[Decision, ...]:
    found = (read(state, keys.run(run.name, kind, msp), Decision) for msp in run.specification.organisations)
    return tuple(decision for decision in found if decision is not None)


def _attestations(state: State, run: Run, model: GlobalModel) -> tuple[Attestation, ...]:
    found = (
        read(state, keys.attestation(run.name, model.round, model.attempt, verifier), Attestation)
        for verifier in run.specification.verifiers
    )
    return tuple(attestation for attestation in found if attestation is not None)


def _latest_round(state: State, name: str, generation: int) -> int | None:
    """The last round entered in a generation. Entries are contiguous, so doubling steps and then halves find it."""
    first = 0
    if generation:
        record = read(state, keys.generation(name, generation), Generation)
        first = 0 if record is None else record.round - 1

    def entered(round_number: int) -> bool:
        return state.get(keys.entry(name, generation, round_number)) is not None

    if not entered(first):
        return None
    step = 1
    while entered(first + step):
        step *= 2
    low, high = first + step // 2, first + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if entered(middle) else (low, middle)
    return low


def _last_opening(state: State, name: str, round_number: int, attempt: int) -> Opening:
    opening = read(state, keys.opening(name, round_number, attempt), Opening)
    if opening is None:
        raise Refusal("attempt-not-open", f"round {round_number} of run {name} has not been opened")
    while (later := read(state, keys.opening(name, round_number, opening.attempt + 1), Opening)) is not None:
        opening = later
    return opening


def _current(state: State, run: Run, generation: int, round_number: int) -> Attempt:
    entry = read(state, keys.entry(run.name, generation, round_number), RoundEntry)
    opening = _last_opening(state, run.name, round_number, 1 if entry is None else entry.attempt)
    updates = tuple(counting_updates(state, opening))
    selection = selection_of(state, run.name, round_number, opening.attempt)
    return Attempt(
        opening=opening,
        updates=updates,
        updates_digest=updates_digest(updates),
        selection=selection,
        closable_from=closable_from(run.specification, opening, updates),
        reopenable_from=reopenable_from(opening, None if selection is None else selection.publish_by),
    )


def _latest_global(state: State, name: str, generation: int, attempt: Attempt | None) -> GlobalModel | None:
    if attempt is not None:
        opening = attempt.opening
        made = read(state, keys.global_model(name, opening.round + 1, opening.attempt), GlobalModel)
        if made is not None:
            return made
    else:  # before global 0; or a stopped run whose last annulment opened nothing: the annulled global's base stands
        annulled = read(state, keys.generation(name, generation), Generation)
        if annulled is None:
            return None
        voided = read(state, keys.opening(name, annulled.round - 1, annulled.attempt), Opening)
        if voided is None:
            return None
        opening = voided
    base = opening.base
    return read(state, keys.global_model(name, base.round, base.attempt), GlobalModel)
