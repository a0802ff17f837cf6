"""Transitions of a run as a whole: proposed, approved, rejected, stopped. Pure; no I/O."""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.bodies import ApproveRun, ProposeRun, RejectRun, StopRun
from consilo.protocol.call import Call
from consilo.protocol.model import Record
from consilo.protocol.records import Decision, Marker, Proposal
from consilo.protocol.refusals import Refusal
from consilo.protocol.rounds import Run, latest_generation, load_run
from consilo.protocol.specification import RULES_VERSION
from consilo.protocol.state import State
from consilo.protocol.values import organisation_of


def propose_run(call: Call[ProposeRun]) -> None:
    """Record a specification; it counts as the approval of the proposer's organisation."""
    body = call.body
    if body.specification.rules != RULES_VERSION:
        raise Refusal("rules-unknown", f"this ledger knows version {RULES_VERSION} of the rules")
    if call.msp not in body.specification.organisations:
        raise Refusal("organisation-not-named", f"the specification does not name {call.msp}, which proposes it")
    if body.specification.initial.organisation != call.msp:
        # Else a proposer could name any object of another's store, and let its own members read it as global 0.
        raise Refusal("artifact-mismatch", f"the initial artifact must lie in the store of {call.msp}")
    if call.draft.get(keys.run(body.run, "proposal")) is not None:
        raise Refusal("run-exists", f"the name {body.run} belongs to another run")
    proposal = Proposal(run=body.run, specification=body.specification, proposed_by=call.member, proposed_at=call.time)
    call.draft.put(keys.run(body.run, "proposal"), proposal)
    call.draft.put(keys.runs(body.run), Marker(by=call.member, at=call.time))
    _approve(call, Run(body.run, proposal))


def approve_run(call: Call[ApproveRun]) -> None:
    """Record an organisation's approval; the run becomes active when enough have come for it to go on by itself."""
    run = _votable(call, call.body.run)
    if call.body.specification != run.specification.digest():
        raise Refusal("specification-mismatch", f"run {run.name} has another specification")
    _approve(call, run)


def reject_run(call: Call[RejectRun]) -> None:
    """Record an organisation's rejection; the run is rejected when too few are left to approve it."""
    run = _votable(call, call.body.run)
    time = _decide(call, run, "rejection", call.body.reason)
    left = set(run.specification.organisations).difference(_deciders(call.draft, run, "rejection"))
    active = call.draft.get(keys.run(run.name, "activated")) is not None
    if not active and not run.specification.can_run_with(left):
        call.draft.put(keys.run(run.name, "rejected"), Marker(by=call.member, at=time))
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
    time = _decide(call, run, "stop", call.body.reason)
    proposer = organisation_of(run.proposal.proposed_by)
    if call.msp == proposer or len(_deciders(call.draft, run, "stop")) >= run.specification.approvals_required:
        call.draft.put(keys.run(run.name, "stopped"), Marker(by=call.member, at=time))
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
    time = _decide(call, run, "approval", "")
    # An approval may come late: it lets the organisation's silos in from the next attempt on.
    if call.draft.get(keys.run(run.name, "activated")) is not None:
        return
    if run.specification.can_run_with(_deciders(call.draft, run, "approval")):
        call.draft.put(keys.run(run.name, "activated"), Marker(by=call.member, at=time))
        call.effects.append("run-activated")


def _decide(call: Call[Record], run: Run, kind: str, reason: str) -> int:
    """Record the decision of the sender's organisation; returns its time."""
    time = max(call.time, run.proposal.proposed_at)
    decision = Decision(msp=call.msp, decided_by=call.member, decided_at=time, reason=reason)
    call.draft.put(keys.run(run.name, kind, call.msp), decision)
    return time


def _deciders(state: State, run: Run, kind: str) -> list[str]:
    organisations = run.specification.organisations
    return [msp for msp in organisations if state.get(keys.run(run.name, kind, msp)) is not None]
