"""What a run's transitions share: its specification, its current attempt, the opening of the next. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from consilo.protocol import keys
from consilo.protocol.call import Call
from consilo.protocol.cohort import draw_cohort
from consilo.protocol.model import Record
from consilo.protocol.records import (
    Exclusion,
    Generation,
    GlobalModel,
    GlobalReference,
    Marker,
    Opening,
    Proposal,
    RoundEntry,
    Selection,
    Update,
    UpdateReference,
)
from consilo.protocol.refusals import Refusal
from consilo.protocol.specification import Specification
from consilo.protocol.state import State, read
from consilo.protocol.values import organisation_of

MAX_ATTEMPT = 9_999


@dataclass(frozen=True)
class Run:
    """A run's name and specification."""

    name: str
    proposal: Proposal

    @property
    def specification(self) -> Specification:
        """What its organisations agree on."""
        return self.proposal.specification


@lru_cache(maxsize=64)
def _decode_proposal(data: bytes) -> Proposal:
    return Proposal.decode(data)


def load_run(state: State, name: str) -> Run:
    """The run of this name.

    Raises:
        Refusal: `run-unknown`.
    """
    data = state.get(keys.run(name, "proposal"))
    if data is None:
        raise Refusal("run-unknown", f"no run {name} was proposed")
    return Run(name, _decode_proposal(data))


def require_running(state: State, run: Run) -> None:
    """The run is active and was not stopped.

    Raises:
        Refusal: `run-stopped`, `run-rejected` or `run-not-active`.
    """
    if state.get(keys.run(run.name, "stopped")) is not None:
        raise Refusal("run-stopped", f"run {run.name} was stopped")
    if state.get(keys.run(run.name, "activated")) is None:
        if state.get(keys.run(run.name, "rejected")) is not None:
            raise Refusal("run-rejected", f"run {run.name} was rejected")
        raise Refusal("run-not-active", f"run {run.name} has not enough approvals yet")


def require_named(call: Call[Record], run: Run, members: Iterable[str], what: str) -> None:
    """The sender is one of the members, and its organisation approved the run.

    Raises:
        Refusal: `organisation-not-named` or `organisation-not-approved`.
    """
    if call.member not in members:
        raise Refusal("organisation-not-named", f"run {run.name} does not name {call.member} as {what}")
    require_approval(call, run)


def require_approval(call: Call[Record], run: Run) -> None:
    """The sender's organisation has approved the run.

    Raises:
        Refusal: `organisation-not-approved`.
    """
    if call.draft.get(keys.run(run.name, "approval", call.msp)) is None:
        raise Refusal("organisation-not-approved", f"{call.msp} has not approved run {run.name}")


def require_participant(call: Call[Record], run: Run) -> bool:
    """The sender takes part in the run: an aggregator, a silo, or the operator of a named organisation.

    Returns:
        Whether it is one of the run's aggregators.

    Raises:
        Refusal: `organisation-not-named` or `organisation-not-approved`.
    """
    specification = run.specification
    match call.role:
        case "aggregator":
            named = call.member in specification.aggregators
        case "silo":
            named = specification.terms_of(call.member) is not None
        case _:
            named = call.msp in specification.organisations
    if not named:
        raise Refusal("organisation-not-named", f"run {run.name} does not name {call.member} as {call.role}")
    require_approval(call, run)
    return call.role == "aggregator"


def current_attempt(state: State, run: Run, round_number: int, attempt: int) -> Opening:
    """The opening of this attempt, when no later one has taken its place.

    Raises:
        Refusal: `attempt-not-open` or `attempt-superseded`.
    """
    opening = read(state, keys.opening(run.name, round_number, attempt), Opening)
    if opening is None:
        raise Refusal("attempt-not-open", f"attempt {attempt} of round {round_number} has not been opened")
    later = state.get(keys.opening(run.name, round_number, attempt + 1)) is not None
    if later or state.get(keys.generation(run.name, opening.generation + 1)) is not None:
        raise Refusal("attempt-superseded", f"attempt {attempt} of round {round_number} was superseded")
    return opening


def selection_of(state: State, run: str, round_number: int, attempt: int) -> Selection | None:
    """The selection recorded for an attempt, or None."""
    return read(state, keys.selection(run, round_number, attempt), Selection)


def counting_updates(state: State, opening: Opening) -> list[Update]:
    """The updates that count in an attempt, carried ones included; sorted by member."""
    found: list[Update] = []
    for reference in opening.carried:
        carried = read(state, keys.update(opening.run, opening.round, reference.attempt, reference.member), Update)
        if carried is not None:
            found.append(carried)
    prefix = keys.updates(opening.run, opening.round, opening.attempt)
    found.extend(Update.decode(data) for _, data in state.range(prefix, keys.end_of(prefix)))
    return sorted(found, key=lambda update: update.member)


def attempt_time(opening: Opening, updates: Iterable[Update], selection: Selection | None) -> int:
    """The latest time in an attempt's records: what follows from them is never dated earlier."""
    times = [opening.opened_at, *(update.published_at for update in updates)]
    return max(times if selection is None else [*times, selection.closed_at])


def latest_generation(state: State, run: str, start: int = 0) -> int:
    """Number of the run's current generation: 0, or that of the last annulment. `start` is known to exist."""
    number = start
    while state.get(keys.generation(run, number + 1)) is not None:
        number += 1
    return number


def is_annulled(state: State, model: GlobalModel) -> bool:
    """Whether an annulment has voided this global or one that it descends from."""
    number = model.generation + 1
    while (found := read(state, keys.generation(model.run, number), Generation)) is not None:
        if found.round <= model.round:
            return True
        number += 1
    return False


def next_attempt(state: State, run: str, round_number: int, attempt: int) -> int:
    """The first attempt number from `attempt` on that the round has not used.

    Raises:
        Refusal: `attempts-exhausted`.
    """
    while state.get(keys.opening(run, round_number, attempt)) is not None:
        attempt += 1
    if attempt > MAX_ATTEMPT:
        raise Refusal("attempts-exhausted", f"round {round_number} has had {MAX_ATTEMPT} attempts")
    return attempt


def open_attempt(
    call: Call[Record],
    run: Run,
    *,
    base: GlobalReference,
    attempt: int,
    generation: int,
    carried: tuple[UpdateReference, ...] = (),
    excluded: tuple[Exclusion, ...] = (),
    reason: Literal["global-published", "reopened", "annulled"],
    time: int,
) -> None:
    """Open an attempt at the round of `base`: draw its cohort, set its deadline."""
    specification = run.specification
    approved = {
        msp for msp in specification.organisations if call.draft.get(keys.run(run.name, "approval", msp)) is not None
    }
    cohort = draw_cohort(
        specification,
        run=run.name,
        base=base,
        attempt=attempt,
        eligible=[t.member for t in specification.silos if organisation_of(t.member) in approved],
        carried=[reference.member for reference in carried],
    )
    opening = Opening(
        run=run.name,
        round=base.round,
        attempt=attempt,
        generation=generation,
        base=base,
        cohort=cohort,
        carried=carried,
        excluded=excluded,
        reason=reason,
        opened_by=call.member,
        opened_at=time,
        deadline_at=time + specification.deadline_ms,
    )
    call.draft.put(keys.opening(run.name, base.round, attempt), opening)
    call.effects.append("round-opened")


def advance(call: Call[Record], run: Run, model: GlobalModel, time: int) -> None:
    """Go on from a global model that stands: open the round that trains on it, or finish the run."""
    if model.round == run.specification.rounds:
        call.draft.put(keys.finished(run.name, model.generation), Marker(by=call.member, at=time))
        call.effects.append("run-finished")
        return
    attempt = next_attempt(call.draft, run.name, model.round, 1)
    call.draft.put(keys.entry(run.name, model.generation, model.round), RoundEntry(attempt=attempt))
    open_attempt(
        call,
        run,
        base=model.reference,
        attempt=attempt,
        generation=model.generation,
        reason="global-published",
        time=time,
    )
