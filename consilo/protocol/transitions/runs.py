"""Transitions of a run as a whole: proposed, approved, rejected, stopped. Pure; no I/O."""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.bodies import ApproveRun, ProposeRun, RejectRun, StopRun
from consilo.protocol.call import Call
from consilo.protocol.records import Decision, Marker, Proposal
from consilo.protocol.refusals import Refusal
from consilo.protocol.rounds import Run, latest_generation, load_run
from consilo.protocol.specification import RULES_VERSION
from consilo.protocol.state import State


def propose_run(call: Call[ProposeRun]) -> None:
    """Record a specification; it counts as the approval of the proposer's organisation."""
    body = call.body
    if body.specification.rules != RULES_VERSION:
        raise Refusal("rules-unknown", f"this ledger knows version {RULES_VERSION} of the rules")
    if call.msp not in body.specification.organisations:
        raise Refusal("organisation-not-named", f"the specification does not name {call.msp}, which proposes it")
    if call.draft.get(keys.run(body.run, "proposal")) is not None:
        raise Refusal("run-exists", f"the name {body.run} belongs to another run")
    proposal = Proposal(run=body.run, specification=body.specification, proposed_by=call.member, proposed_at=call.time)
    call.draft.put(keys.run(body.run, "proposal"), proposal)
    call.draft.put(keys.runs(body.run), Marker(by=call.member, at=call.time))
    _approve(call, Run(body.run, proposal))


def approve_run(call: Call[ApproveRun]) -> None:
    """Record an organisation's approval; the run becomes active when enough have come."""
    run = _votable(call, call.body.run)
    if call.body.specification != run.specification.digest():
        raise Refusal("specification-mismatch", f"run {run.name} has another specification")
    _approve(call, run)


def reject_run(call: Call[RejectRun]) -> None:
    """Record an organisation's rejection; the run is rejected when too few are left to approve it."""
    run = _votable(call, call.body.run)
    decision = Decision(msp=call.msp, decided_by=call.member, decided_at=call.time, reason=call.body.reason)
    call.draft.put(keys.run(run.name, "rejection", call.msp), decision)
    left = len(run.specification.organisations) - _count(call.draft, run, "rejection")
    active = call.draft.get(keys.run(run.name, "activated")) is not None
    rejected = call.draft.get(keys.run(run.name, "rejected")) is not None
    if left < run.specification.approvals_required and not active and not rejected:
        call.draft.put(keys.run(run.name, "rejected"), Marker(by=call.member, at=call.time))
        call.effects.append("run-rejected")


def stop_run(call: Call[StopRun]) -> None:
    """Record that an organisation wants the run to end. It ends at the proposer's word, or at `approvals_required`."""
    run = load_run(call.draft, call.body.run)
    if call.msp not in run.specification.organisations:
        raise Refusal("organisation-not-named", f"run {run.name} does not name {call.msp}")
    if call.draft.get(keys.run(run.name, "stopped")) is not None:
        raise Refusal("run-stopped", f"run {run.name} was stopped before")
    if call.draft.get(keys.finished(run.name, latest_generation(call.draft, run.name))) is not None:
        raise Refusal("run-finished", f"run {run.name} has finished")
    if call.draft.get(keys.run(run.name, "stop", call.msp)) is not None:
        raise Refusal("already-stopped", f"{call.msp} has asked to stop run {run.name} before")
    decision = Decision(msp=call.msp, decided_by=call.member, decided_at=call.time, reason=call.body.reason)
    call.draft.put(keys.run(run.name, "stop", call.msp), decision)
    proposer = run.proposal.proposed_by.split("/", 1)[0]
    if call.msp == proposer or _count(call.draft, run, "stop") >= run.specification.approvals_required:
        call.draft.put(keys.run(run.name, "stopped"), Marker(by=call.member, at=call.time))
        call.effects.append("run-stopped")


def _votable(call: Call[ApproveRun] | Call[RejectRun], name: str) -> Run:
    run = load_run(call.draft, name)
    if call.msp not in run.specification.organisations:
        raise Refusal("organisation-not-named", f"run {run.name} does not name {call.msp}")
    for vote in ("approval", "rejection"):
        if call.draft.get(keys.run(run.name, vote, call.msp)) is not None:
            raise Refusal("already-voted", f"{call.msp} has decided on run {run.name} before ({vote})")
    if call.draft.get(keys.run(run.name, "stopped")) is not None:
        raise Refusal("run-stopped", f"run {run.name} was stopped")
    if call.draft.get(keys.run(run.name, "rejected")) is not None:
        raise Refusal("run-rejected", f"run {run.name} was rejected")
    return run


def _approve(call: Call[ProposeRun] | Call[ApproveRun], run: Run) -> None:
    decision = Decision(msp=call.msp, decided_by=call.member, decided_at=call.time, reason="")
    call.draft.put(keys.run(run.name, "approval", call.msp), decision)
    # An approval may come late: it lets the organisation's silos in from the next attempt on.
    if call.draft.get(keys.run(run.name, "activated")) is not None:
        return
    if _count(call.draft, run, "approval") >= run.specification.approvals_required:
        call.draft.put(keys.run(run.name, "activated"), Marker(by=call.member, at=call.time))
        call.effects.append("run-activated")


def _count(state: State, run: Run, decision: str) -> int:
    organisations = run.specification.organisations
    return sum(state.get(keys.run(run.name, decision, msp)) is not None for msp in organisations)
