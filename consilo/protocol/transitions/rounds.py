"""Transitions of a round: updates, closing, reopening, the next global model. Pure; no I/O."""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.bodies import CloseRound, PublishGlobal, PublishUpdate, ReopenRound
from consilo.protocol.call import Call
from consilo.protocol.closing import closable_from, reopenable_from
from consilo.protocol.records import GlobalModel, Marker, Opening, Selection, Update, UpdateReference
from consilo.protocol.refusals import Refusal
from consilo.protocol.rounds import (
    Run,
    advance,
    attempt_time,
    counting_updates,
    current_attempt,
    load_run,
    next_attempt,
    open_attempt,
    require_named,
    require_participant,
    require_running,
    selection_of,
)
from consilo.protocol.selection import never_selected, select, updates_digest
from consilo.protocol.specification import Artifact
from consilo.protocol.state import read


def publish_update(call: Call[PublishUpdate]) -> None:
    """Record the metadata of a silo's local model."""
    body = call.body
    run = load_run(call.draft, body.run)
    require_running(call.draft, run)
    terms = run.specification.terms_of(call.member)
    require_named(call, run, [] if terms is None else [terms.member], "silo")
    opening = current_attempt(call.draft, run, body.round, body.attempt)
    if call.member not in opening.cohort:
        raise Refusal("not-in-cohort", f"{call.member} was not asked in attempt {body.attempt} of round {body.round}")
    if selection_of(call.draft, run.name, body.round, body.attempt) is not None:
        raise Refusal("round-closed", f"attempt {body.attempt} of round {body.round} is closed")
    key = keys.update(run.name, body.round, body.attempt, call.member)
    carried = any(reference.member == call.member for reference in opening.carried)
    if carried or call.draft.get(key) is not None:
        raise Refusal("already-published", f"{call.member} has an update in round {body.round} already")
    if body.base != opening.base.sha256:
        raise Refusal("base-mismatch", f"round {body.round} trains on {opening.base.sha256}, not on {body.base}")
    _check_artifact(call, run, body.artifact)
    if terms is not None and body.num_samples > terms.max_samples:
        raise Refusal("too-many-samples", f"{call.member} may claim {terms.max_samples} samples at most")
    update = Update(
        run=run.name,
        round=body.round,
        attempt=body.attempt,
        member=call.member,
        base=body.base,
        artifact=body.artifact,
        num_samples=body.num_samples,
        metrics=body.metrics,
        published_at=max(call.time, opening.opened_at),
    )
    call.draft.put(key, update)


def close_round(call: Call[CloseRound]) -> None:
    """Compute and record the selection of an attempt that has enough updates."""
    body = call.body
    run = load_run(call.draft, body.run)
    require_running(call.draft, run)
    require_participant(call, run)
    opening = current_attempt(call.draft, run, body.round, body.attempt)
    if selection_of(call.draft, run.name, body.round, body.attempt) is not None:
        raise Refusal("round-closed", f"attempt {body.attempt} of round {body.round} is closed")
    updates = counting_updates(call.draft, opening)
    time = max(call.time, attempt_time(opening, updates, None))
    at = closable_from(run.specification, opening, updates)
    if len(updates) < run.specification.minimum:
        raise Refusal("too-early", f"{len(updates)} updates; at least {run.specification.minimum} are needed")
    if at is None:
        raise Refusal("selection-too-small", f"the policy selects too few of {len(updates)} updates")
    if time < at:
        raise Refusal("too-early", f"with {len(updates)} updates the round may be closed in {at - time} ms")
    seen = updates_digest(updates)
    if body.updates != seen:
        raise Refusal("updates-changed", f"the updates on the ledger are {seen}, not {body.updates}")
    selected, left_out = select(run.specification.selection, updates)
    selection = Selection(
        run=run.name,
        round=body.round,
        attempt=body.attempt,
        selected=selected,
        left_out=left_out,
        total_samples=sum(update.num_samples for update in selected),
        updates=seen,
        closed_by=call.member,
        closed_at=time,
        publish_by=time + run.specification.deadline_ms,
    )
    call.draft.put(keys.selection(run.name, body.round, body.attempt), selection)
    call.effects.append("round-closed")


def reopen_round(call: Call[ReopenRound]) -> None:
    """Open the next attempt: without the updates that an aggregator found unusable, or because a deadline is over.

    Updates that can never be selected (no metric, or one below the value) do not carry over: if they did, and took up
    places of the cohort, the round might never have enough.
    """
    body = call.body
    run = load_run(call.draft, body.run)
    require_running(call.draft, run)
    is_aggregator = require_participant(call, run)
    opening = current_attempt(call.draft, run, body.round, body.attempt)
    if call.draft.get(keys.global_model(run.name, body.round + 1, body.attempt)) is not None:
        raise Refusal("global-exists", f"attempt {body.attempt} of round {body.round} has made its global model")
    selection = selection_of(call.draft, run.name, body.round, body.attempt)
    updates = counting_updates(call.draft, opening)
    time = max(call.time, attempt_time(opening, updates, selection))
    if body.excluded:
        _check_exclusions(call, selection, is_aggregator)
    else:
        _check_overdue(run, opening, selection, updates, time)
    dropped = {exclusion.member for exclusion in body.excluded}
    dropped.update(never_selected(run.specification.selection, updates))
    open_attempt(
        call,
        run,
        base=opening.base,
        attempt=next_attempt(call.draft, run.name, body.round, body.attempt + 1),
        generation=opening.generation,
        carried=tuple(UpdateReference(member=u.member, attempt=u.attempt) for u in updates if u.member not in dropped),
        excluded=body.excluded,
        reason="reopened",
        time=time,
    )


def publish_global(call: Call[PublishGlobal]) -> None:
    """Record the next global model, and open the round that trains on it."""
    body = call.body
    run = load_run(call.draft, body.run)
    require_running(call.draft, run)
    require_named(call, run, run.specification.aggregators, "aggregator")
    key = keys.global_model(run.name, body.round, body.attempt)
    if call.draft.get(key) is not None:
        raise Refusal("global-exists", f"global {body.round} of attempt {body.attempt} was published")
    if body.round == 0:
        activated = read(call.draft, keys.run(run.name, "activated"), Marker)
        if body.attempt != 0 or body.inputs or body.artifact != run.specification.initial:
            raise Refusal("initial-mismatch", "global 0 is the specification's initial artifact, of attempt 0")
        _check_strategy(run, body)
        generation, time = 0, max(call.time, run.proposal.proposed_at if activated is None else activated.at)
    else:
        opening = current_attempt(call.draft, run, body.round - 1, body.attempt)
        selection = selection_of(call.draft, run.name, body.round - 1, body.attempt)
        if selection is None:
            raise Refusal("round-not-closed", f"attempt {body.attempt} of round {body.round - 1} is not closed")
        if body.inputs != selection.selected:
            raise Refusal("selection-mismatch", "the inputs and weights are not those of the recorded selection")
        _check_strategy(run, body)
        _check_artifact(call, run, body.artifact)
        generation, time = opening.generation, max(call.time, selection.closed_at)
    model = GlobalModel(
        run=run.name,
        round=body.round,
        attempt=body.attempt,
        generation=generation,
        artifact=body.artifact,
        inputs=body.inputs,
        strategy=body.strategy,
        published_by=call.member,
        published_at=time,
    )
    call.draft.put(key, model)
    call.effects.append("global-published")
    if body.round == 0 or run.specification.attestations_required == 0:
        advance(call, run, model, time)


def _check_strategy(run: Run, body: PublishGlobal) -> None:
    if body.strategy != run.specification.strategy:
        raise Refusal("selection-mismatch", "the strategy is not the specification's")


def _check_artifact(call: Call[PublishUpdate] | Call[PublishGlobal], run: Run, artifact: Artifact) -> None:
    if artifact.organisation != call.msp:
        raise Refusal("artifact-mismatch", f"{call.member} publishes from {call.msp}'s store, not from another's")
    expected = run.specification.tensors.artifact_bytes
    if artifact.size_bytes != expected:
        raise Refusal("artifact-mismatch", f"by the run's schema an artifact has {expected} bytes")


def _check_exclusions(call: Call[ReopenRound], selection: Selection | None, is_aggregator: bool) -> None:
    # An aggregator may not read an update before it is selected, so it cannot say earlier that it is unusable.
    if not is_aggregator:
        raise Refusal("role-not-allowed", "only an aggregator may exclude updates")
    if selection is None:
        raise Refusal("round-not-closed", "updates can be excluded once they were selected")
    selected = {update.member for update in selection.selected}
    for exclusion in call.body.excluded:
        if exclusion.member not in selected:
            raise Refusal("exclusion-unknown", f"{exclusion.member} has no selected update in this attempt")


def _check_overdue(run: Run, opening: Opening, selection: Selection | None, updates: list[Update], time: int) -> None:
    at = reopenable_from(opening, None if selection is None else selection.publish_by)
    if time < at:
        raise Refusal("nothing-to-reopen", f"no update is excluded, and the attempt has {at - time} ms left")
    if selection is None:
        closable = closable_from(run.specification, opening, updates)
        if closable is not None and closable <= time:
            raise Refusal("nothing-to-reopen", "the attempt has enough updates: close it")
