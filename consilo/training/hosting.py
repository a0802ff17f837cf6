"""What a worker does with each request: it calls the task and checks what comes back. Reads and writes artifacts.

Nothing a task does may end a request in another way than with a reply: exceptions of all kinds, `sys.exit` included,
become `Failed`. What cannot be caught (a crash in native code, `os._exit`) is the parent's to notice.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from consilo.aggregation import AggregationError, read_artifact, write_artifact
from consilo.protocol.tensors import TensorSchema
from consilo.training.errors import (
    ArtifactUnusable,
    TaskFailed,
    TaskNotFound,
    TaskRefusedValues,
    TaskStopped,
    TaskValueInvalid,
    TaskVersionMismatch,
    TrainingStopped,
    WorkerError,
)
from consilo.training.messages import (
    EvaluateRequest,
    EvaluationReply,
    Failed,
    InitialStateReply,
    InitialStateRequest,
    LoadReply,
    LoadRequest,
    Progress,
    Reply,
    TrainingReply,
    TrainRequest,
)
from consilo.training.results import check_evaluation, check_finite, check_schema, check_training, checked_schema
from consilo.training.task import DEFAULT_VERSION, BaselineTask, State, Task, TrainingContext

_METHODS: Final = ("load", "initial_state", "train", "evaluate")
_MESSAGE_CHARACTERS: Final = 2_000
_TRACEBACK_LINES: Final = 60
_LINE_CHARACTERS: Final = 400

Work = LoadRequest | InitialStateRequest | TrainRequest | EvaluateRequest


class TaskHost:
    """Holds the loaded task of a worker process and answers requests about it, one at a time."""

    def __init__(self, send: Callable[[Reply], None], prints: Callable[[], int]) -> None:
        """Take where progress goes, and how often the task has written to standard output so far."""
        self._send = send
        self._prints = prints
        self._task: Task | None = None

    def answer(self, request: Work, stopped: threading.Event) -> Reply:
        """Do what the request says. `stopped` is set from outside when the result is no longer wanted."""
        started = time.monotonic()
        try:
            match request:
                case LoadRequest():
                    return self._load(request, started)
                case InitialStateRequest():
                    return self._initial_state(request, started)
                case TrainRequest():
                    return self._train(request, stopped, started)
                case EvaluateRequest():
                    return self._evaluate(request, started)
        except WorkerError as error:
            lines = tuple(line[:_LINE_CHARACTERS] for line in error.details[-_TRACEBACK_LINES:])
            return Failed(id=request.id, code=error.code, message=error.message[:_MESSAGE_CHARACTERS], traceback=lines)

    def _load(self, request: LoadRequest, started: float) -> LoadReply:
        self._task = None
        kind = _task_class(request.task)
        version = str(getattr(kind, "version", DEFAULT_VERSION))
        if request.version is not None and request.version != version:
            raise TaskVersionMismatch(
                f"{request.task} is installed in version {version}, but the run asks for version {request.version}; "
                "install that version"
            )
        with _calling("the constructor"):
            task: Task = kind(request.parameters)
        if request.data is not None:
            with _calling("load"):
                task.load(request.data)
        if request.tensors is not None:
            with _calling("initial_state"):
                state = task.initial_state(0)
            check_schema(checked_schema(state, "initial_state"), request.tensors, "initial_state")
        self._task = task
        return LoadReply(
            id=request.id, version=version, baseline=isinstance(task, BaselineTask), seconds=time.monotonic() - started
        )

    def _initial_state(self, request: InitialStateRequest, started: float) -> InitialStateReply:
        task = self._loaded()
        with _calling("initial_state"):
            state = task.initial_state(request.seed)
        schema = checked_schema(state, "initial_state")
        check_finite(state, "initial_state")
        sha256 = _write(request.output, schema, state)
        return InitialStateReply(id=request.id, tensors=schema, sha256=sha256, seconds=time.monotonic() - started)

    def _train(self, request: TrainRequest, stopped: threading.Event, started: float) -> TrainingReply:
        task = self._loaded()
        prints = self._prints()
        state = _read(request.base, request.tensors)
        context = TrainingContext(
            run=request.context.run,
            round=request.context.round,
            attempt=request.context.attempt,
            seed=request.context.seed,
            stopped=stopped,
            report=_Reporter(request.id, request.progress_interval_seconds, self._send),
        )
        self._send(Progress(id=request.id, fraction=0.0, metrics={}))  # the training begins, whatever the task reports
        with _calling("train", stopped):
            result = task.train(state, context)
        if stopped.is_set():
            raise TaskStopped("the round closed while the task was training")
        num_samples, metrics = check_training(result, request.tensors)
        sha256 = _write(request.output, request.tensors, result.state)
        return TrainingReply(
            id=request.id,
            num_samples=num_samples,
            metrics=metrics,
            sha256=sha256,
            seconds=time.monotonic() - started,
            checks=context.checks,
            prints=self._prints() - prints,
        )

    def _evaluate(self, request: EvaluateRequest, started: float) -> EvaluationReply:
        task = self._loaded()
        method, source = task.evaluate, "evaluate"
        if request.test:
            if not isinstance(task, BaselineTask):
                raise TaskNotFound("the task has no method test, so it cannot be compared on a global test set")
            method, source = task.test, "test"
        state = _read(request.base, request.tensors)
        with _calling(source):
            result = method(state)
        num_samples, metrics = check_evaluation(result, source)
        return EvaluationReply(
            id=request.id,
            num_samples=num_samples,
            metrics=metrics,
            seconds=time.monotonic() - started,
            unchanged=_unchanged(state, request) if request.compare else None,
        )

    def _loaded(self) -> Task:
        if self._task is None:
            raise TaskNotFound("no task is loaded")
        return self._task


class _Reporter:
    """Sends progress, but not more often than the parent wants to hear it."""

    def __init__(self, request_id: int, interval_seconds: float, send: Callable[[Reply], None]) -> None:
        self._request_id = request_id
        self._interval_seconds = interval_seconds
        self._send = send
        self._next = 0.0

    def __call__(self, fraction: float, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._interval_seconds
        try:
            numbers = {name: float(value) for name, value in metrics.items()}
            message = Progress(id=self._request_id, fraction=min(max(float(fraction), 0.0), 1.0), metrics=numbers)
        except (TypeError, ValueError):  # not worth stopping a training for: a loss may be NaN for a while
            return
        self._send(message)


def _task_class(reference: str) -> Any:
    module_name, separator, class_name = reference.partition(":")
    if not (module_name and separator and class_name.isidentifier()):
        raise TaskNotFound(f"{reference!r} names no task; write module:Class, e.g. consilo.tasks.digits:Digits")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise TaskNotFound(
                f"there is no module {error.name!r}; install it where the worker runs, or name its folder in PYTHONPATH"
            ) from error
        raise TaskNotFound(f"{module_name} needs {error.name!r}, which is not installed", _lines(error)) from error
    except BaseException as error:
        raise TaskFailed(f"importing {module_name} raised {_say(error)}", _lines(error)) from error
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type):
        raise TaskNotFound(f"the module {module_name} has no class {class_name}")
    if missing := [name for name in _METHODS if not callable(getattr(kind, name, None))]:
        raise TaskNotFound(f"{reference} is no task: it has no method {', '.join(missing)}")
    return kind


@contextmanager
def _calling(method: str, stopped: threading.Event | None = None) -> Iterator[None]:
    """Turns whatever a task raises into a `WorkerError`."""
    try:
        yield
    except TaskValueInvalid as error:
        raise TaskRefusedValues(str(error)) from error
    except BaseException as error:
        if isinstance(error, TrainingStopped) and stopped is not None and stopped.is_set():
            raise TaskStopped("the round closed while the task was training") from error
        raise TaskFailed(f"{method} raised {_say(error)}", _lines(error)) from error


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _lines(error: BaseException) -> tuple[str, ...]:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__ and frames.tb_next is not None:
        frames = frames.tb_next  # the reader wants to see the task, not its host
    text = "".join(traceback.format_exception(type(error), error, frames))
    return tuple(text.splitlines())


def _read(path: str, schema: TensorSchema) -> State:
    try:
        return read_artifact(path, schema)
    except (AggregationError, OSError) as error:
        raise ArtifactUnusable(f"the model to start from cannot be read: {error}") from error


def _write(path: str, schema: TensorSchema, state: State) -> str:
    """Write an artifact so that, even after a power cut, the file is whole or not there."""
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    try:
        sha256 = write_artifact(partial, schema, state)
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ArtifactUnusable(f"the model cannot be written: {error}") from error
    return sha256


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unchanged(state: State, request: EvaluateRequest) -> bool:
    original = _read(request.base, request.tensors)
    return state.keys() == original.keys() and all(
        isinstance(state[name], np.ndarray) and state[name].tobytes() == array.tobytes()
        for name, array in original.items()
    )
