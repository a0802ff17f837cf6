"""Transitions about models that exist: attested, evaluated, read. Pure; no I/O."""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.access import artifact_record, policy_names
from consilo.protocol.bodies import AttestGlobal, RecordAccess, ReportEvaluation
from consilo.protocol.call import Call
from consilo.protocol.records import (
    Access,
    Attestation,
    Evaluation,
    Generation,
    GlobalModel,
    Opening,
    RoundEntry,
    UpdateReference,
)
from consilo.protocol.refusals import Refusal
from consilo.protocol.rounds import (
    Run,
    advance,
    counting_updates,
    is_annulled,
    latest_generation,
    load_run,
    next_attempt,
    open_attempt,
    require_named,
)
from consilo.protocol.state import read


def attest_global(call: Call[AttestGlobal]) -> None:
    """Record a verifier's word. Enough `ok` let the next round open; enough `mismatch` annul the global."""
    body = call.body
    run = load_run(call.draft, body.run)
    require_named(call, run, run.specification.verifiers, "verifier")
    model = _global(call, body.run, body.round, body.attempt, body.sha256)
    key = keys.attestation(run.name, body.round, body.attempt, call.member)
    if call.draft.get(key) is not None:
        raise Refusal("already-attested", f"{call.member} has attested this global before")
    if is_annulled(call.draft, model):
        raise Refusal("global-annulled", f"global {body.round} of attempt {body.attempt} is annulled")
    time = max(call.time, model.published_at)
    attestation = Attestation(
        verifier=call.member,
        round=body.round,
        attempt=body.attempt,
        sha256=body.sha256,
        verdict=body.verdict,
        detail=body.detail,
        attested_at=time,
    )
    call.draft.put(key, attestation)
    count = _count(call, run, body)
    if body.verdict == "mismatch":
        if count == run.specification.mismatches_to_annul:
            _annul(call, run, model, time)
    elif count == run.specification.attestations_required and not _is_stopped(call, run):
        advance(call, run, model, time)


def report_evaluation(call: Call[ReportEvaluation]) -> None:
    """Record how a global model does on a silo's own validation data."""
    body = call.body
    run = load_run(call.draft, body.run)
    require_named(call, run, [terms.member for terms in run.specification.silos], "silo")
    model = _global(call, body.run, body.round, body.attempt, body.sha256)
    key = keys.evaluation(run.name, body.round, body.attempt, call.member)
    if call.draft.get(key) is not None:
        raise Refusal("already-evaluated", f"{call.member} has reported on this global before")
    evaluation = Evaluation(
        member=call.member,
        round=body.round,
        attempt=body.attempt,
        sha256=body.sha256,
        num_samples=body.num_samples,
        metrics=body.metrics,
        reported_at=max(call.time, model.published_at),
    )
    call.draft.put(key, evaluation)


def record_access(call: Call[RecordAccess]) -> None:
    """Record that the sender is going to read artifacts, each once per reader."""
    run = load_run(call.draft, call.body.run)
    for reference in call.body.artifacts:
        record = artifact_record(call.draft, run.name, reference)
        if record is None:
            raise Refusal(
                "artifact-unknown", f"there is no {reference.kind} with this digest in round {reference.round}"
            )
        if not policy_names(run.specification, call.member, reference):
            raise Refusal("access-not-allowed", f"run {run.name} does not let {call.member} read this {reference.kind}")
        key = keys.access(run.name, reference, call.member)
        if call.draft.get(key) is None:
            access = Access(
                reader=call.member,
                owner=record.artifact.organisation,
                sha256=reference.sha256,
                recorded_at=max(call.time, record.published_at),
            )
            call.draft.put(key, access)


def _global(
    call: Call[AttestGlobal] | Call[ReportEvaluation], run: str, round_number: int, attempt: int, sha256: str
) -> GlobalModel:
    model = read(call.draft, keys.global_model(run, round_number, attempt), GlobalModel)
    if model is None or model.artifact.sha256 != sha256:
        raise Refusal("global-unknown", f"run {run} has no global {round_number} of attempt {attempt} with this digest")
    return model


def _count(call: Call[AttestGlobal], run: Run, body: AttestGlobal) -> int:
    found = (
        read(call.draft, keys.attestation(run.name, body.round, body.attempt, verifier), Attestation)
        for verifier in run.specification.verifiers
    )
    return sum(attestation is not None and attestation.verdict == body.verdict for attestation in found)


def _is_stopped(call: Call[AttestGlobal], run: Run) -> bool:
    return call.draft.get(keys.run(run.name, "stopped")) is not None


def _annul(call: Call[AttestGlobal], run: Run, model: GlobalModel, time: int) -> None:
    """Start a new generation from the round before the annulled global; its updates carry over."""
    generation = latest_generation(call.draft, run.name, model.generation) + 1
    record = Generation(
        generation=generation,
        round=model.round,
        attempt=model.attempt,
        sha256=model.artifact.sha256,
        started_at=time,
    )
    call.draft.put(keys.generation(run.name, generation), record)
    call.effects.append("global-annulled")
    if _is_stopped(call, run):
        return
    opening = read(call.draft, keys.opening(run.name, model.round - 1, model.attempt), Opening)
    assert opening is not None  # noqa: S101 - a global of a round >= 1 is only recorded on an open attempt
    attempt = next_attempt(call.draft, run.name, opening.round, model.attempt + 1)
    call.draft.put(keys.entry(run.name, generation, opening.round), RoundEntry(attempt=attempt))
    open_attempt(
        call,
        run,
        base=opening.base,
        attempt=attempt,
        generation=generation,
        carried=tuple(
            UpdateReference(member=u.member, attempt=u.attempt) for u in counting_updates(call.draft, opening)
        ),
        reason="annulled",
        time=time,
    )
