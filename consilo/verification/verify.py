"""`verify_run`: is everything about a run what its ledger says? Does network I/O.

The steps, each with its result:

1. `chain`: blocks and head. All blocks follow each other up to the head that the gateway signed, and a head that was
   seen before is among them. On Fabric, orderers signed them.
2. `signatures`: every transaction is signed by the member that it names, under a certificate that leads to its
   organisation's roots, was valid then, and was not revoked. On Fabric, as many organisations endorsed it as must.
3. `transitions`: the rules admit every transaction in the state that those before it left; what it wrote is recorded.
   On Fabric, every peer's word on which transactions count is checked, and other organisations hold the same state.
4. `inputs`: every update that went into a global model is in its owner's store, with the ledger's digest (where the
   run's agreement lets the member read updates).
5. `globals`: every global model that stands, recomputed from these, has the ledger's digest bit for bit; so has the
   object in its owner's store.

Steps 1 to 3 are one pass over the whole ledger, and 4 and 5 one pass over each global's inputs: memory grows neither
with the model nor with the ledger's blocks. Reading others' artifacts records the access on the ledger.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from consilo.api.errors import ApiError, GatewayRefused
from consilo.api.models import Head
from consilo.api.party import Party
from consilo.protocol import keys
from consilo.protocol.bodies import AttestGlobal
from consilo.protocol.records import Attestation, GlobalModel
from consilo.protocol.rounds import is_annulled, load_run
from consilo.protocol.state import State, read
from consilo.verification.chain import replay_ledger
from consilo.verification.globals import Examination, examine
from consilo.verification.recompute import RecomputeSettings
from consilo.verification.steps import GRAVEST_FIRST, CheckedGlobal, OnProgress, Progress, Report, Step

_SETTINGS: Final = RecomputeSettings(input_attempts=4)
"""For longer than that, an input is waited for with the party's patience, alone: then it can be said what is wrong."""


class CannotVerify(ApiError):
    """What was asked cannot be verified by this member. `code` is `global-unknown` or `not-a-verifier`."""


async def verify_run(
    party: Party,
    run: str,
    rounds: Collection[int] | None = None,
    *,
    progress: OnProgress | None = None,
    seen: Head | None = None,
    genesis: str | None = None,
    attest: bool = False,
    settings: RecomputeSettings | None = None,
) -> Report:
    """Verify a run.

    Args:
        party: a connected member. How much is possible depends on what the run's agreement lets it read.
        run: name of the run.
        rounds: numbers of the global models to examine (with the inputs that each was made from); None: all. The ledger
            is replayed whole in any case.
        progress: hears how far it is.
        seen: a head that this ledger showed before.
        genesis: hash that the ledger's first block must have; None: any, as long as what was seen follows from it.
        attest: publish the member's word on each global model that it recomputed and has not attested yet.
        settings: limits of the recomputation.

    Raises:
        CannotVerify: there is no such global model; or `attest`, but the member is no verifier of the run.
        ApiError: the gateway cannot be read.
    """

    def report(step: int, done: int, total: int, what: str) -> None:
        if progress is not None:
            progress(Progress(step, done, total, what))

    status = await party.metadata_get(run)
    if attest and party.member not in status.proposal.specification.verifiers:
        raise CannotVerify("not-a-verifier", f"run {run} does not name {party.member} as a verifier")
    latest = -1 if status.latest is None else status.latest.round
    if rounds is not None and (unknown := sorted(number for number in set(rounds) if not 0 <= number <= latest)):
        raise CannotVerify("global-unknown", f"run {run} has no global {unknown[0]}; the latest is {latest}")

    ledger = await replay_ledger(
        party, seen=seen, genesis=genesis, on_block=lambda done, total: report(1, done, total, "block")
    )  # 1. 2. 3.
    steps = ledger.steps()
    if ledger.failed_step is not None:
        return Report(run, (*steps, *_not_reached(ledger.failed_step)), ledger.head, ())

    state = ledger.replay.state
    specification = load_run(state, run).specification
    made = [model for model in _globals(state, run) if rounds is None or model.round in rounds]
    models = [model for model in made if not is_annulled(state, model)]
    examinations: list[Examination] = []
    for done, model in enumerate(models):  # 4. 5.
        report(4, done, len(models), f"global {model.round}")
        found = await examine(party, state, specification, model, latest=latest, settings=settings or _SETTINGS)
        if attest:
            found = await _attested(party, state, model, found)
        examinations.append(found)
    report(4, len(models), len(models), "done")
    return Report(
        run,
        (*steps, _inputs_step(examinations), _globals_step(examinations, annulled=len(made) - len(models))),
        ledger.head,
        tuple(found.checked for found in examinations),
    )


def _globals(state: State, run: str) -> list[GlobalModel]:
    """All global models of a run, in order."""
    prefix = keys.run(run, "global") + "/"
    return [GlobalModel.decode(data) for _, data in state.range(prefix, keys.end_of(prefix))]


async def _attested(party: Party, state: State, model: GlobalModel, found: Examination) -> Examination:
    """Publish the member's word on a global that it has recomputed, unless it has given it."""
    given = read(state, keys.attestation(model.run, model.round, model.attempt, party.member), Attestation)
    word = found.verdict.word
    if word is None or given is not None:
        return found
    try:
        await party.metadata_publish(
            AttestGlobal(
                run=model.run,
                round=model.round,
                attempt=model.attempt,
                sha256=model.artifact.sha256,
                verdict=word,
                detail=found.verdict.detail,
            )
        )
    except GatewayRefused as error:
        # Another process of this member was faster; or the word on an earlier global has annulled this one.
        if error.code not in {"already-attested", "global-annulled"}:
            raise
        return found
    checked: CheckedGlobal = replace(found.checked, attested=word)
    return replace(found, checked=checked)


def _not_reached(failed: int) -> tuple[Step, ...]:
    detail = f"step {failed} failed: the ledger's own records cannot be relied on"
    return tuple(Step(number, "not-possible", detail, reason="step-failed") for number in (4, 5))


def _inputs_step(examinations: list[Examination]) -> Step:
    inputs = sum(found.checked.inputs for found in examinations)
    checked = sum(found.inputs_checked for found in examinations)
    good = f"{checked} of {inputs} inputs of {len(examinations)} global models have the ledger's digest"
    return _combined(4, good, [found.inputs_step for found in examinations])


def _globals_step(examinations: list[Examination], *, annulled: int) -> Step:
    recomputed = sum(found.verdict.word == "ok" for found in examinations)
    stored = sum(found.checked.stored is True for found in examinations)
    good = f"{recomputed} global models recomputed bit for bit; {stored} of {len(examinations)} are so in their stores"
    if annulled:
        good += f"; {annulled} annulled ones were not looked at"
    return _combined(5, good, [found.globals_step for found in examinations])


def _combined(number: int, good: str, parts: list[Step]) -> Step:
    """One step of several: failed if one is, else not possible if one is not."""
    for outcome in ("failed", "not-possible"):
        having = [part for part in parts if part.outcome == outcome]
        if having:
            problems = tuple(problem for part in having for problem in part.problems)
            reasons = {part.reason for part in having}
            reason = next((word for word in GRAVEST_FIRST if word in reasons), None)
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return Step(number, having[0].outcome, f"{problems[0]}{more}; {good}", problems, reason)
    return Step(number, "ok", good)
