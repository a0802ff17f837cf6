"""A run that is proposed, opened and stopped, and its model put and got by signed URLs. Network and file I/O."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from consilo.aggregation.artifact import write_artifact
from consilo.api.party import Party
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import ProposeRun, PublishGlobal, StopRun
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
from consilo.protocol.tensors import TensorSchema, TensorSpec

TASK: Final = "installation-check"
_NOBODY: Final = "nobody"
_DEADLINE_MS: Final = 60_000

T = TypeVar("T")


class CheckReport(BaseModel):
    """What was done, and how long it took.

    Attributes:
        run: name of the run.
        ledger: name of the ledger.
        height: of the newest block after it.
        sha256: of the model that was put and got.
        size_bytes: of its file.
        seconds: of each step.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    ledger: str
    height: int
    sha256: str
    size_bytes: int
    seconds: dict[str, float]


class CheckFailed(Exception):
    """Something came back that is not what it should be. The message says what."""


async def round_trip(operator: Party, aggregator: Party, *, run: str, model_bytes: int, directory: Path) -> CheckReport:
    """Put a model into the store, put its run on the ledger, get the model back, stop the run.

    Args:
        operator: connected; of the organisation whose installation it is.
        aggregator: connected; of the same organisation.
        run: name of the run, which must be new.
        model_bytes: size of the model's data.
        directory: for the model's files.

    Raises:
        ApiError, TransferError: as the steps do.
        CheckFailed: the ledger does not show what was put on it.
    """
    seconds: dict[str, float] = {}

    async def timed(step: str, doing: Awaitable[T]) -> T:
        started = time.monotonic()
        result = await doing
        seconds[step] = round(time.monotonic() - started, 3)
        return result

    sent, received = directory / "sent.safetensors", directory / "received.safetensors"
    schema = _schema(model_bytes)
    # Not the same bytes twice, so that nothing that is left of an earlier check can be taken for them.
    values = np.random.default_rng().random(model_bytes // 4, dtype=np.float32)
    sha256 = write_artifact(sent, schema, {"values": values})
    artifact = await timed("signed upload", operator.data_put(run, sent))
    if artifact.sha256 != sha256:
        raise CheckFailed(f"the model's digest is {sha256}; on its way to the store it was {artifact.sha256}")
    specification = _specification(operator, aggregator, schema, artifact)
    await timed("proposal", operator.metadata_publish(ProposeRun(run=run, specification=specification)))
    opening = PublishGlobal(run=run, round=0, attempt=0, artifact=artifact, inputs=(), strategy=specification.strategy)
    await timed("first global", aggregator.metadata_publish(opening))
    model = (await timed("reading", operator.metadata_get(run))).latest
    if model is None or model.artifact != artifact:
        raise CheckFailed(f"the ledger does not show the global model that was put on it: {_shown(model)}")
    await timed("signed download", operator.data_get(run, reference_of(model), artifact.organisation, received))
    stopped = await timed("stop", operator.metadata_publish(StopRun(run=run, reason="the check is over")))
    return CheckReport(
        run=run,
        ledger=operator.ledger,
        height=stopped.head.head.height,
        sha256=sha256,
        size_bytes=artifact.size_bytes,
        seconds=seconds,
    )


def _shown(model: GlobalModel | None) -> str:
    return "it shows none" if model is None else f"it shows {model.artifact.sha256}"


def _schema(model_bytes: int) -> TensorSchema:
    return TensorSchema(tensors=(TensorSpec(name="values", dtype="F32", shape=(model_bytes // 4,)),))


def _specification(operator: Party, aggregator: Party, schema: TensorSchema, initial: Artifact) -> Specification:
    msp = operator.identity.msp
    return Specification(
        task=TaskReference(name=TASK, version="1", parameters={}),
        initial=initial,
        tensors=schema,
        organisations=(msp,),
        # A run has silos. This one has no task, so it needs none that is there.
        silos=(SiloTerms(member=f"{msp}/{_NOBODY}", max_samples=1),),
        aggregators=(aggregator.member,),
        verifiers=(),
        update_readers=(),
        rounds=1,
        cohort=WholeCohort(kind="all"),
        threshold=1,
        minimum=1,
        grace_ms=_DEADLINE_MS,
        deadline_ms=_DEADLINE_MS,
        selection=SelectAll(policy="all"),
        strategy=StrategyReference(name="fedavg", version=1, parameters={}),
        approvals_required=1,
        attestations_required=0,
        mismatches_to_annul=1,
        retention_rounds=None,
    )
