"""What can go wrong between a task, the worker that trains it and the process that asked. Pure; no I/O.

TrainingError
|- TaskValueInvalid       a parameter of the run or the operator's description of the data is not usable
|- TrainingStopped        raised by `TrainingContext.check`: the round closed, the result would not be used
'- WorkerError            what the parent of a worker process sees; `code` is stable
   |- TaskNotFound          task-not-found
   |- TaskVersionMismatch   task-version-mismatch
   |- TaskRefusedValues     task-value-invalid
   |- TaskFailed            task-failed
   |- TaskResultInvalid     task-result-invalid
   |- TaskTimedOut          task-timed-out
   |- TaskStopped           training-stopped
   |- ArtifactUnusable      artifact-unusable
   |- WorkerDied            worker-died
   '- WorkerConfused        worker-confused
"""

from __future__ import annotations

from typing import ClassVar, Final


class TrainingError(Exception):
    """Root of all errors raised by `consilo.training`."""


class TaskValueInvalid(TrainingError):
    """A parameter or a value about the data is missing, unknown, or not what the task allows."""


class TrainingStopped(TrainingError):
    """The round closed while a task was training. A task lets it pass through."""


class WorkerError(TrainingError):
    """A worker process could not do what it was asked.

    Attributes:
        code: stable, the same in logs, metrics and on the command line.
        message: what was wrong, in words.
        details: lines that help to find the cause: the traceback in the task, or the last lines the worker wrote.
    """

    code: ClassVar[str] = "worker-error"

    def __init__(self, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class TaskNotFound(WorkerError):
    """`module:Class` names nothing that can be imported, or not a task."""

    code = "task-not-found"


class TaskVersionMismatch(WorkerError):
    """The installed task has another version than the run's specification asks for."""

    code = "task-version-mismatch"


class TaskRefusedValues(WorkerError):
    """The task does not accept the run's parameters, or the operator's description of the data."""

    code = "task-value-invalid"


class TaskFailed(WorkerError):
    """The task raised an exception; `details` is the traceback."""

    code = "task-failed"


class TaskResultInvalid(WorkerError):
    """What the task returned cannot be published: names, shapes, dtypes, numbers that are not finite, sample count."""

    code = "task-result-invalid"


class TaskTimedOut(WorkerError):
    """The task did not finish within the time allowed; its worker was killed."""

    code = "task-timed-out"


class TaskStopped(WorkerError):
    """Training was cancelled, by the task's own leave or with its process."""

    code = "training-stopped"


class ArtifactUnusable(WorkerError):
    """The artifact to start from cannot be read, or the result cannot be written."""

    code = "artifact-unusable"


class WorkerDied(WorkerError):
    """The worker process ended on its own: a crash in native code, lack of memory, `os._exit`."""

    code = "worker-died"


class WorkerConfused(WorkerError):
    """The worker's bytes are not what the protocol between the two processes allows; it was killed."""

    code = "worker-confused"


WORKER_ERRORS: Final[dict[str, type[WorkerError]]] = {
    kind.code: kind
    for kind in (
        TaskNotFound,
        TaskVersionMismatch,
        TaskRefusedValues,
        TaskFailed,
        TaskResultInvalid,
        TaskTimedOut,
        TaskStopped,
        ArtifactUnusable,
        WorkerDied,
        WorkerConfused,
    )
}
"""The error of each code."""
