"""One global model under examination: its inputs, its recomputation, its object in the store. Does network I/O.

Steps 4 and 5 of a verification (`consilo.verification.verify`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consilo.aggregation import AggregationError
from consilo.api.party import Party
from consilo.protocol import keys
from consilo.protocol.access import may_read, policy_names, reference_of
from consilo.protocol.records import GlobalModel, SelectedUpdate, Update
from consilo.protocol.retention import is_expired
from consilo.protocol.specification import Specification
from consilo.protocol.state import State, read
from consilo.protocol.values import organisation_of
from consilo.verification.recompute import RecomputeSettings
from consilo.verification.steps import GRAVEST_FIRST, CheckedGlobal, Outcome, Reason, Step
from consilo.verification.stored import Stored, check_stored
from consilo.verification.verdicts import Verdict, judge


@dataclass(frozen=True)
class Examination:
    """What was found about one global model.

    Attributes:
        checked: for the report.
        inputs_checked: inputs whose digest was found right.
        verdict: of the recomputation; without a word when there was none.
        inputs_step: this global's part of step 4.
        globals_step: this global's part of step 5.
    """

    checked: CheckedGlobal
    inputs_checked: int
    verdict: Verdict
    inputs_step: Step
    globals_step: Step


@dataclass
class _Findings:
    """Collects what one step finds. What is wrong outweighs what could not be done."""

    number: int
    wrong: list[str] = field(default_factory=list)
    missed: list[tuple[Reason, str]] = field(default_factory=list)

    def step(self) -> Step:
        if self.wrong:
            return Step(self.number, "failed", self.wrong[0], tuple(self.wrong))
        if self.missed:
            reasons = [reason for reason, _ in self.missed]
            worst = next(reason for reason in GRAVEST_FIRST if reason in reasons)
            outcome: Outcome = "not-possible"
            return Step(self.number, outcome, self.missed[0][1], tuple(text for _, text in self.missed), worst)
        return Step(self.number, "ok", "")

    def note(self, what: str, stored: Stored, *, expired: bool) -> bool:
        """Take note of what became of an object; returns whether it is right."""
        match stored.condition:
            case "ok":
                return True
            case "missing" if expired:
                self.missed.append(("expired", f"{what} is {stored.detail}, expired by the run's retention policy"))
            case "unavailable":
                self.missed.append(("unavailable", f"{what}: {stored.detail}"))
            case "missing":
                self.wrong.append(f"{what} is {stored.detail}")
            case _:
                self.wrong.append(f"{what}: {stored.detail}")
        return False


async def examine(
    party: Party,
    state: State,
    specification: Specification,
    model: GlobalModel,
    *,
    latest: int,
    settings: RecomputeSettings,
) -> Examination:
    """Check the inputs of a global model, recompute it, and look at its object.

    Args:
        party: who reads.
        state: the ledger's, replayed.
        specification: the run's.
        model: the global; number 0 has no inputs.
        latest: number of the run's latest global, for its retention.
        settings: limits of the recomputation.

    Raises:
        LedgerRolledBack: the ledger lost blocks.
    """
    name = f"global {model.round} (attempt {model.attempt})"
    inputs, models = _Findings(4), _Findings(5)
    retention = specification.retention_rounds
    updates_expired = is_expired(retention, model.round - 1, latest)
    model_expired = is_expired(retention, model.round, latest)

    good, verdict = 0, Verdict(None, "there is nothing to recompute")
    if model.inputs:
        unreadable = [each.member for each in model.inputs if not _may_read(party, state, specification, model, each)]
        if unreadable:
            good = await _check_each(party, state, model, inputs, unreadable, expired=updates_expired)
            who = ", ".join(unreadable)
            inputs.missed.append(("not-allowed", f"{name}: {party.member} may not read the updates of {who}"))
            models.missed.append(("not-allowed", f"{name} was not recomputed: its inputs may not be read"))
        else:
            verdict = await _judge(party, specification, model, models, settings)
            good = len(model.inputs)
            if verdict.recomputed is None:  # some input cannot be used: find out which, and why
                good = await _check_each(party, state, model, inputs, [], expired=updates_expired)
                if good == len(model.inputs) and verdict.only_unavailable:  # what was away is there again
                    verdict = await _judge(party, specification, model, models, settings)
                if verdict.word is None and not models.missed:
                    _explain(name, verdict, inputs, models)

    stored = await check_stored(party, model.run, reference_of(model), model.artifact)
    is_right = models.note(f"{name} in the store", stored, expired=model_expired)
    known = is_right or stored.condition in {"wrong", "missing"}
    checked = CheckedGlobal(
        round=model.round,
        attempt=model.attempt,
        sha256=model.artifact.sha256,
        inputs=len(model.inputs),
        recomputed=verdict.recomputed,
        stored=is_right if known else None,
    )
    return Examination(checked, good, verdict, inputs.step(), models.step())


async def _judge(
    party: Party, specification: Specification, model: GlobalModel, models: _Findings, settings: RecomputeSettings
) -> Verdict:
    """The verdict of the recomputation; what is wrong or kept it from being done is noted."""
    name = f"global {model.round} (attempt {model.attempt})"
    try:
        verdict = await judge(party, specification, model, settings)
    except AggregationError as error:
        models.missed.append(("unsupported", f"{name} was not recomputed: {error}"))
        return Verdict(None, str(error))
    if verdict.word == "mismatch":
        models.wrong.append(f"{name} is not what its inputs make: {verdict.detail}")
    return verdict


def _explain(name: str, verdict: Verdict, inputs: _Findings, models: _Findings) -> None:
    """Note why there is no verdict, once each input was checked alone."""
    malformed = [fault for fault in verdict.faults if fault.reason == "malformed"]
    text = f"{name} was not recomputed: not all of its inputs can be used"
    if inputs.wrong:
        models.missed.append(("step-failed", text))
    elif inputs.missed:
        models.missed.append((inputs.missed[0][0], text))
    elif malformed:  # and yet with the ledger's digest
        models.wrong += [
            f"{name} cannot have been made from its inputs: that of {each.member} is malformed ({each.detail})"
            for each in malformed
        ]
    else:
        models.missed.append(("unavailable", f"{name} was not recomputed: an input is away now and then"))


async def _check_each(
    party: Party,
    state: State,
    model: GlobalModel,
    inputs: _Findings,
    unreadable: list[str],
    *,
    expired: bool,
) -> int:
    """Check the digest of each input that may be read, alone; returns how many are right."""
    good = 0
    for selected in model.inputs:
        update = _update(state, model, selected)
        if selected.member in unreadable or update is None:
            continue
        what = f"the update of {selected.member} in round {model.round - 1} (attempt {selected.attempt})"
        stored = await check_stored(party, model.run, reference_of(update), update.artifact)
        good += inputs.note(what, stored, expired=expired)
    return good


def _update(state: State, model: GlobalModel, selected: SelectedUpdate) -> Update | None:
    return read(state, keys.update(model.run, model.round - 1, selected.attempt, selected.member), Update)


def _may_read(
    party: Party, state: State, specification: Specification, model: GlobalModel, selected: SelectedUpdate
) -> bool:
    if organisation_of(selected.member) == party.identity.msp:
        return True
    update = _update(state, model, selected)
    if update is None:
        return False
    reference = reference_of(update)
    if party.identity.role == "aggregator":  # what the ledger selected for it, it may read without a record
        return may_read(state, model.run, party.member, reference)
    return policy_names(specification, party.member, reference)
