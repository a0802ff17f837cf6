"""Runs made step by step with `Party` calls: two silos, an aggregator, a numpy model. Does network and file I/O."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from consilo.aggregation import schema_of, write_artifact
from consilo.aggregation.dtypes import Array
from consilo.api.party import Party
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import (
    ApproveRun,
    CloseRound,
    ProposeRun,
    PublishGlobal,
    PublishUpdate,
    ReportEvaluation,
)
from consilo.protocol.canonical import digest
from consilo.protocol.records import GlobalModel
from consilo.protocol.specification import (
    Artifact,
    SelectAll,
    SiloTerms,
    Specification,
    StrategyReference,
    TaskReference,
    WholeCohort,
)
from consilo.protocol.values import organisation_of
from consilo.verification.recompute import RecomputeSettings, recompute
from tests.integration.consortium import Consortium

SILOS: Final = ("HospitalA/silo", "HospitalB/silo")
AGGREGATOR: Final = "HospitalA/aggregator"
VERIFIER: Final = "HospitalB/verifier"
AUDITOR: Final = "HospitalC/auditor"

Change = Callable[[Path], None]


def state(seed: int, rows: int = 40) -> dict[str, Array]:
    """A model of two tensors: some 56 bytes for each row."""
    generator = np.random.default_rng(seed)
    return {"bias": generator.normal(size=7).astype(np.float32), "weight": generator.normal(size=(rows, 7))}


def flip_last_mantissa_bit(path: Path) -> None:
    """Change one bit of a model's file, so that every number stays finite."""
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)


def specification(initial: Artifact, *, rounds: int, **fields: Any) -> Specification:
    """What the organisations of a made run agree on."""
    values: dict[str, Any] = {
        "task": TaskReference(name="noise", version="1", parameters={"epochs": 1}),
        "initial": initial,
        "tensors": schema_of(state(0)),
        "organisations": ("HospitalA", "HospitalB", "HospitalC"),
        "silos": tuple(SiloTerms(member=member, max_samples=1000) for member in SILOS),
        "aggregators": (AGGREGATOR,),
        "verifiers": (VERIFIER,),
        "update_readers": (AUDITOR,),
        "rounds": rounds,
        "cohort": WholeCohort(kind="all"),
        "threshold": 2,
        "minimum": 2,
        "grace_ms": 1000,
        "deadline_ms": 3_600_000,
        "selection": SelectAll(policy="all"),
        "strategy": StrategyReference(name="fedavg", version=1, parameters={}),
        "approvals_required": 2,
        "attestations_required": 0,
        "mismatches_to_annul": 1,
        "retention_rounds": None,
    }
    return Specification(**{**values, **fields})


async def propose(
    consortium: Consortium, run: str, directory: Path, *, rounds: int, rows: int = 40, **fields: Any
) -> None:
    """Propose a run and open its first round."""
    initial = directory / f"{run}-initial"
    tensors = schema_of(state(0, rows))
    write_artifact(initial, tensors, state(0, rows))
    async with consortium.party("HospitalA/operator") as operator:
        artifact = await operator.data_put(run, initial)
        agreed = specification(artifact, rounds=rounds, tensors=tensors, **fields)
        await operator.metadata_publish(ProposeRun(run=run, specification=agreed))
    async with consortium.party("HospitalB/operator") as operator:
        await operator.metadata_publish(ApproveRun(run=run, specification=agreed.digest()))
    await open_first_round(consortium, run)


async def open_first_round(consortium: Consortium, run: str) -> None:
    """Publish global 0."""
    async with consortium.party(AGGREGATOR) as aggregator:
        agreed = (await aggregator.metadata_get(run)).proposal.specification
        await aggregator.metadata_publish(
            PublishGlobal(run=run, round=0, attempt=0, artifact=agreed.initial, inputs=(), strategy=agreed.strategy)
        )


async def train(
    consortium: Consortium,
    run: str,
    directory: Path,
    silos: tuple[str, ...] = SILOS,
    *,
    rows: int = 40,
    not_finite: str | None = None,
) -> None:
    """Let the silos publish their updates of the current round; that of `not_finite` has a NaN."""
    for number, member in enumerate(silos):
        async with consortium.party(member) as silo:
            attempt = (await silo.metadata_get(run)).attempt
            assert attempt is not None
            opening = attempt.opening
            path = directory / f"{run}-update"
            update = state(100 * opening.round + number + 1, rows)
            if member == not_finite:
                update["bias"][0] = np.nan
            write_artifact(path, schema_of(update), update)
            await silo.metadata_publish(
                PublishUpdate(
                    run=run,
                    round=opening.round,
                    attempt=opening.attempt,
                    base=opening.base.sha256,
                    artifact=await silo.data_put(run, path),
                    num_samples=100 + number,
                    metrics={"accuracy": repr(0.5 + number / 8)},
                )
            )


async def close(consortium: Consortium, run: str) -> None:
    """Close the current round."""
    async with consortium.party(AGGREGATOR) as aggregator:
        attempt = (await aggregator.metadata_get(run)).attempt
        assert attempt is not None
        await aggregator.metadata_publish(
            CloseRound(
                run=run,
                round=attempt.opening.round,
                attempt=attempt.opening.attempt,
                updates=attempt.updates_digest,
            )
        )


async def publish(consortium: Consortium, run: str, directory: Path, change: Change | None = None) -> GlobalModel:
    """Make and publish the next global model, which `change` may spoil first."""
    async with consortium.party(AGGREGATOR) as aggregator:
        status = await aggregator.metadata_get(run)
        assert status.attempt is not None
        opening, selection = status.attempt.opening, status.attempt.selection
        assert selection is not None
        agreed = status.proposal.specification
        place = await aggregator.place_to_put(run, agreed.tensors.artifact_bytes)
        result = await recompute(
            aggregator, run, agreed, opening.round, selection.selected, settings=RecomputeSettings(), place=place
        )
        path = directory / f"{run}-global"
        path.write_bytes(consortium.object_path(place.artifact_key).read_bytes())
        if change is not None:
            change(path)
        assert change is not None or digest(path.read_bytes()) == result.sha256
    await publish_anything(consortium, run, path)
    async with consortium.party(AGGREGATOR) as aggregator:
        made = (await aggregator.metadata_get(run)).latest
        assert made is not None
        return made


async def publish_anything(consortium: Consortium, run: str, path: Path) -> None:
    """Publish a file as the next global model, whatever the inputs are."""
    async with consortium.party(AGGREGATOR) as aggregator:
        status = await aggregator.metadata_get(run)
        assert status.attempt is not None
        assert status.attempt.selection is not None
        await aggregator.metadata_publish(
            PublishGlobal(
                run=run,
                round=status.attempt.opening.round + 1,
                attempt=status.attempt.opening.attempt,
                artifact=await aggregator.data_put(run, path),
                inputs=status.attempt.selection.selected,
                strategy=status.proposal.specification.strategy,
            )
        )


async def evaluate(consortium: Consortium, run: str, model: GlobalModel) -> None:
    """Let the silos say how a global does."""
    for number, member in enumerate(SILOS):
        async with consortium.party(member) as silo:
            await silo.metadata_publish(
                ReportEvaluation(
                    run=run,
                    round=model.round,
                    attempt=model.attempt,
                    sha256=model.artifact.sha256,
                    num_samples=10,
                    metrics={"accuracy": repr(0.5 + number / 4)},
                )
            )


async def make_run(
    consortium: Consortium,
    run: str,
    directory: Path,
    *,
    rounds: int = 2,
    spoiled: int | None = None,
    rows: int = 40,
    **fields: Any,
) -> list[GlobalModel]:
    """A finished run; global number `spoiled` has one bit that is wrong. Returns its globals from number 1 on."""
    await propose(consortium, run, directory, rounds=rounds, rows=rows, **fields)
    made = []
    for number in range(rounds):
        await train(consortium, run, directory, rows=rows)
        await close(consortium, run)
        change = flip_last_mantissa_bit if number + 1 == spoiled else None
        model = await publish(consortium, run, directory, change)
        await evaluate(consortium, run, model)
        made.append(model)
    return made


async def stored_update(consortium: Consortium, party: Party, run: str, round_number: int, member: str) -> Path:
    """The file of an update in the store."""
    summary = await party.gateway.round(run, round_number)
    update = next(update for update in summary.updates if update.member == member)
    assert update.artifact.organisation == organisation_of(member)
    assert reference_of(update).kind == "update"
    return consortium.object_path(update.artifact.key)
