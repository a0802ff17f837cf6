"""What a silo and a training Job say to each other: the order, and the replies of the worker process. Pure; no I/O.

A Job is a worker that lives elsewhere: the same task code, the same data settings, the same replies, over HTTP in place
of pipes. It asks the silo for everything, at one URL and with one token that are good for nothing else:

    GET  <url>/order            -> a `JobOrder`
    GET  <url>/base             -> the model to start from
    PUT  <url>/update/<sha256>  <- the trained model, once
    POST <url>/replies          <- `Progress` any number of times; `TrainingReply`, `EvaluationReply` or `Failed` once

401 and 410 say that the silo does not want this Job (any more), so the Job ends. What the silo cannot answer now (it
starts, it is gone) is asked again, for as long as the Job's patience lasts.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, model_validator

from consilo.protocol.model import Record
from consilo.protocol.tensors import TensorSchema
from consilo.protocol.values import Digest
from consilo.training.messages import RoundContext, Seconds
from consilo.training.worker_process import WorkerSettings

MAX_ORDER_BYTES: Final = 64 * 1024 * 1024
"""Of an order. The schema is the largest part: some 80 bytes for each tensor."""

MAX_REPLY_BYTES: Final = 1024 * 1024
"""Of a reply. A traceback is the largest part, and a worker cuts it."""

DONE: Final = 0
TASK_FAILED: Final = 1
UNUSABLE: Final = 2
UNWANTED: Final = 3
UNREACHABLE: Final = 4
ENDED: Final = 143
"""How the program of a Job ends: all was given; the task failed, as the silo was told; its environment, or what the
silo sent, is not usable; the silo does not want it; the silo could not be reached; it was told to end (128 + SIGTERM).
"""


class JobLimits(Record):
    """The limits of the Job's worker process, as `WorkerSettings` has them."""

    load_timeout_seconds: Seconds
    train_timeout_seconds: Seconds | None
    evaluate_timeout_seconds: Seconds
    stop_grace_seconds: Seconds
    progress_interval_seconds: Seconds
    environment: dict[str, str]

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        """Those of a worker process in the silo's pod."""
        return cls(
            load_timeout_seconds=settings.load_timeout_seconds,
            train_timeout_seconds=settings.train_timeout_seconds,
            evaluate_timeout_seconds=settings.evaluate_timeout_seconds,
            stop_grace_seconds=settings.stop_grace_seconds,
            progress_interval_seconds=settings.progress_interval_seconds,
            environment=dict(settings.environment),
        )

    def worker_settings(self) -> WorkerSettings:
        """As the handle of a worker process takes them.

        Raises:
            ValueError: the environment holds what a worker must not get.
        """
        return WorkerSettings(
            load_timeout_seconds=self.load_timeout_seconds,
            train_timeout_seconds=self.train_timeout_seconds,
            evaluate_timeout_seconds=self.evaluate_timeout_seconds,
            stop_grace_seconds=self.stop_grace_seconds,
            progress_interval_seconds=self.progress_interval_seconds,
            environment=self.environment,
        )


class JobOrder(Record):
    """What a Job is to do with one global model: train on it, or evaluate it, or both, in this order.

    Attributes:
        task: `module:Class`.
        version: that the task must have.
        parameters: of the run.
        data: what the silo's operator says about the data.
        tensors: schema of the models.
        base: digest of the global model.
        training: what the task is told of the round; None: it only evaluates.
        evaluate: whether to evaluate the global model on the silo's validation data.
        limits: of the worker process.
    """

    schema_version: Literal[1] = 1
    task: str
    version: str
    parameters: dict[str, JsonValue]
    data: dict[str, JsonValue]
    tensors: TensorSchema
    base: Digest
    training: Annotated[RoundContext | None, Field()]
    evaluate: bool
    limits: JobLimits

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.training is None and not self.evaluate:
            raise ValueError("an order neither to train nor to evaluate")
        return self

    def covers(self, other: JobOrder) -> bool:
        """Whether a Job for this order does all that the other one asks for: in any attempt, a training is the same."""
        if other.training is None:
            return self.evaluate and self.model_copy(update={"training": None}) == other
        return self._without_attempt() == other._without_attempt()

    def _without_attempt(self) -> JobOrder:
        if self.training is None:
            return self
        return self.model_copy(update={"training": self.training.model_copy(update={"attempt": 0})})
