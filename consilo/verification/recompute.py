"""Computing a global model from its recorded selection: for the aggregator that makes it, and for whoever checks it.

Does network I/O. The bytes go from the owners' stores through memory to where the result is wanted: never to disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field

from consilo.aggregation import DEFAULT_BLOCK_BYTES, AggregationError, Input, Result, Strategy, aggregate, strategy
from consilo.api.party import Party, Place
from consilo.api.transfer_errors import DigestMismatch
from consilo.api.transfers import Upload
from consilo.protocol.records import SelectedUpdate
from consilo.protocol.specification import Specification
from consilo.protocol.tensors import TensorSchema
from consilo.verification.sources import RemoteArtifacts
from consilo.verification.threads import in_own_thread

log = structlog.get_logger(__name__)


class RecomputeSettings(BaseModel):
    """Limits of a computation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_bytes: Annotated[int, Field(ge=4096, le=2**30)] = Field(
        DEFAULT_BLOCK_BYTES, description="what is combined at once; memory is twice this for each input and the result"
    )
    input_attempts: Annotated[int, Field(ge=1, le=1000)] = Field(
        12, description="transfers of one input that may break before it counts as unavailable"
    )


def strategy_of(specification: Specification) -> Strategy:
    """The strategy that a run's specification names.

    Raises:
        StrategyUnknown, StrategyParametersInvalid: it is not known here.
    """
    reference = specification.strategy
    return strategy(reference.name, reference.version, reference.parameters)


def can_compute(specification: Specification) -> bool:
    """Whether this installation knows the run's strategy; the log says what is missing when it does not."""
    try:
        strategy_of(specification)
    except AggregationError as error:
        log.warning("run left alone", code=error.code, reason=str(error))
        return False
    return True


async def recompute(
    party: Party,
    run: str,
    specification: Specification,
    round_number: int,
    selected: Sequence[SelectedUpdate],
    *,
    settings: RecomputeSettings,
    place: Place | None = None,
) -> Result:
    """Compute the global model of a selection.

    When the task is cancelled, the threads end as soon as their transfers let them; nobody waits for them.

    Args:
        party: who reads the updates; its member must be allowed to.
        run: name of the run.
        specification: the run's.
        round_number: of the updates; the global is that of the round after it.
        selected: the recorded selection, in member order.
        settings: limits.
        place: where to put the result; None: only its digest is computed.

    Returns:
        Digest and size of the global's artifact.

    Raises:
        InputsRefused: inputs that cannot be used, all of them named. The store keeps nothing.
        ResultNotFinite: the inputs are fine, their combination overflows.
        AggregationError: the strategy is not known here, or cannot combine these inputs.
        TransferError: the result could not be put to its place.
        LedgerRolledBack: the ledger lost blocks.
    """
    schema = specification.tensors
    combine = strategy_of(specification)
    artifacts = RemoteArtifacts(party, run, schema.artifact_bytes, attempts=settings.input_attempts)
    inputs = [
        Input(update.member, update.num_samples, update.sha256, partial(artifacts.update, round_number, update))
        for update in selected
    ]
    await artifacts.record_access(round_number, selected)
    sink = None if place is None else _LateUpload(lambda: party.open_upload(place), artifacts)

    def work() -> Result:
        return _compute(schema, combine, inputs, sink, settings.block_bytes)

    try:
        return await in_own_thread(work, f"compute global {round_number + 1} of {run}")
    except asyncio.CancelledError:
        artifacts.abandon()
        raise


def _compute(
    schema: TensorSchema, combine: Strategy, inputs: Sequence[Input], sink: _LateUpload | None, block_bytes: int
) -> Result:
    if sink is None:
        return aggregate(schema, combine, inputs, None, block_bytes=block_bytes)
    with contextlib.closing(sink):
        result = aggregate(schema, combine, inputs, sink, block_bytes=block_bytes)
        told = sink.finish()
    if told not in (None, result.sha256):
        raise DigestMismatch(f"the store received SHA-256 {told}, not {result.sha256}")
    return result


class _LateUpload:
    """An upload that begins with the second write: the first one is the header, which comes before any input does.

    A store does not wait for a client that sends nothing, and an input may have to be waited for.
    """

    def __init__(self, open_upload: Callable[[], Upload], artifacts: RemoteArtifacts) -> None:
        self._open_upload = open_upload
        self._artifacts = artifacts
        self._header: bytes | None = None
        self._upload: Upload | None = None

    def write(self, buffer: memoryview, /) -> None:
        """Take all of `buffer`."""
        self._artifacts.raise_if_abandoned()
        if self._header is None:
            self._header = bytes(buffer)
            return
        self._opened().write(buffer)

    def finish(self) -> str | None:
        """Wait until the store has the object; the digest that it tells, if it does."""
        return self._opened().finish()

    def close(self) -> None:
        """Give up, unless it is finished: the store keeps nothing."""
        if self._upload is not None:
            self._upload.abort()

    def _opened(self) -> Upload:
        if self._upload is None:
            self._upload = self._open_upload()
            self._upload.write(memoryview(self._header or b""))
        return self._upload
