"""The messages between a worker process and its parent, one JSON object a line. Pure; no I/O.

The parent sends requests, one at a time; the worker answers each with any number of `Progress` and then one reply or
`Failed`, all with the request's id. `Cancel` is the one message that may come while a request is being worked on.
The worker ends when its input does.
Models never travel here, only the paths of their files.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, JsonValue, TypeAdapter

from consilo.protocol.model import Record
from consilo.protocol.tensors import TensorSchema
from consilo.protocol.values import Digest, Label, Samples

Finite = Annotated[float, Field(allow_inf_nan=False)]
Metrics = Annotated[dict[Label, Finite], Field(max_length=64)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
RequestId = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class RoundContext(Record):
    """What a task is told of its round; `seed` as `training_seed` derives it."""

    run: str
    round: Count
    attempt: Count
    seed: Annotated[int, Field(ge=0, lt=2**53)]


class LoadRequest(Record):
    """Import and construct a task, and load the data unless it is None (as when only the initial model is wanted)."""

    kind: Literal["load"] = "load"
    id: RequestId
    task: str
    version: str | None = None
    parameters: dict[str, JsonValue]
    data: dict[str, JsonValue] | None
    tensors: TensorSchema | None = None


class InitialStateRequest(Record):
    """Write the initial model to `output`."""

    kind: Literal["initial-state"] = "initial-state"
    id: RequestId
    seed: Count
    output: str


class TrainRequest(Record):
    """Train from the artifact at `base` and write the result to `output`; both have the schema `tensors`."""

    kind: Literal["train"] = "train"
    id: RequestId
    base: str
    output: str
    tensors: TensorSchema
    context: RoundContext
    progress_interval_seconds: Seconds


class EvaluateRequest(Record):
    """Evaluate the artifact at `base`: on the silo's validation data, or with `test` on the global test set.

    With `compare` the reply says whether the task left the state as it was.
    """

    kind: Literal["evaluate"] = "evaluate"
    id: RequestId
    base: str
    tensors: TensorSchema
    test: bool = False
    compare: bool = False


class Cancel(Record):
    """Let `TrainingContext.check` raise in the request `id`, if it has not been answered."""

    kind: Literal["cancel"] = "cancel"
    id: RequestId


class Progress(Record):
    """How far a training is, `fraction` in [0, 1], with the task's own numbers."""

    kind: Literal["progress"] = "progress"
    id: RequestId
    fraction: Annotated[float, Field(ge=0, le=1)]
    metrics: Metrics


class LoadReply(Record):
    """The task is ready; `baseline` says whether it has a global test set."""

    kind: Literal["loaded"] = "loaded"
    id: RequestId
    version: str
    baseline: bool
    seconds: Seconds


class InitialStateReply(Record):
    """The initial model is written; its schema and the SHA-256 of its file."""

    kind: Literal["initialised"] = "initialised"
    id: RequestId
    tensors: TensorSchema
    sha256: Digest
    seconds: Seconds


class TrainingReply(Record):
    """The trained model is written.

    Attributes:
        sha256: of the file.
        seconds: reading, training and writing.
        checks: calls of `TrainingContext.check`.
        prints: writes of the task to standard output, which went to the log.
    """

    kind: Literal["trained"] = "trained"
    id: RequestId
    num_samples: Samples
    metrics: Metrics
    sha256: Digest
    seconds: Seconds
    checks: Count
    prints: Count


class EvaluationReply(Record):
    """How the model does; `unchanged` is None unless the request says `compare`."""

    kind: Literal["evaluated"] = "evaluated"
    id: RequestId
    num_samples: Samples
    metrics: Metrics
    seconds: Seconds
    unchanged: bool | None


class Failed(Record):
    """The request failed with one of the codes of `WORKER_ERRORS`. The worker is ready for another."""

    kind: Literal["failed"] = "failed"
    id: RequestId
    code: str
    message: str
    traceback: tuple[str, ...]


Request: TypeAlias = LoadRequest | InitialStateRequest | TrainRequest | EvaluateRequest | Cancel
Reply: TypeAlias = Progress | LoadReply | InitialStateReply | TrainingReply | EvaluationReply | Failed

REQUESTS: Final[TypeAdapter[Request]] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
"""Parses a line from the parent."""
REPLIES: Final[TypeAdapter[Reply]] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])
"""Parses a line from the worker."""


def line_of(message: Request | Reply) -> bytes:
    """A message as its line: JSON in UTF-8 without line breaks, then one."""
    return message.model_dump_json().encode() + b"\n"
