"""Tasks for the tests of the worker: one that behaves, and many ways of not doing so."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from consilo.training.errors import TaskValueInvalid
from consilo.training.task import Evaluation, State, TrainingContext, TrainingResult

FLOOD_LINES = 20_000
ATTEMPTS: list[int] = []


class Mean:
    """Learns the mean of its values. What else happens in a training is the parameter `behaviour`."""

    version = "3"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.behaviour = str(parameters.get("behaviour", ""))
        if self.behaviour == "refuse":
            raise TaskValueInvalid("parameter 'behaviour' must not be 'refuse'")

    def load(self, data: Mapping[str, Any]) -> None:
        self.values = np.arange(int(data.get("count", 10)), dtype=np.float32)
        if self.behaviour == "load-raises":
            raise FileNotFoundError("no such directory: /data")

    def initial_state(self, seed: int) -> State:
        if self.behaviour == "initial-state-ignores-seed":
            seed = int.from_bytes(os.urandom(4))
        start = np.random.Generator(np.random.PCG64(seed)).normal()
        return {"mean": np.array(start, np.float32), "steps": np.zeros(1, np.int64)}

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        result: TrainingResult | None = BEHAVIOURS.get(self.behaviour, _behave)(state, context)
        if result is not None:
            return result
        for number, value in enumerate(self.values):
            context.check()
            state["mean"] += np.float32(0.5) * (value - state["mean"])
            state["steps"] += 1
            context.progress((number + 1) / len(self.values), value=float(value))
        return TrainingResult(state, len(self.values), {"loss": float(np.mean((self.values - state["mean"]) ** 2))})

    def evaluate(self, state: State) -> Evaluation:
        loss = float(np.mean((self.values - state["mean"]) ** 2))
        if self.behaviour == "evaluate-writes":
            state["mean"] += 1
        if self.behaviour == "evaluate-returns-nan":
            loss = float("nan")
        return Evaluation(len(self.values), {"loss": loss})


class Incomplete:
    """Has no method train."""

    def __init__(self, parameters: Mapping[str, Any]) -> None: ...

    def load(self, data: Mapping[str, Any]) -> None: ...

    def initial_state(self, seed: int) -> State:
        return {}

    def evaluate(self, state: State) -> Evaluation:
        return Evaluation(1)


class Unversioned(Incomplete):
    """Has all methods, and says nothing of its version."""

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        return TrainingResult(state, 1)


def _behave(state: State, context: TrainingContext) -> None:
    """Do nothing before the training itself."""


def _flood(state: State, context: TrainingContext) -> None:
    for number in range(FLOOD_LINES):
        print(f'{{"kind": "trained", "id": {number}}}')
    print("x" * 1_000_000)


def _print_natively(state: State, context: TrainingContext) -> None:
    os.write(1, b'{"kind": "trained", "id": 1}\n')
    sys.__stdout__.write("not json\n")  # type: ignore[union-attr]


def _wait_for_stop(state: State, context: TrainingContext) -> None:
    context.progress(0.5)
    while True:
        context.check()


def _hang(state: State, context: TrainingContext) -> None:
    threading.Event().wait()


def _hang_when_repeated(state: State, context: TrainingContext) -> None:
    """Train twice, then hang; which training it is, the attempts so far say."""
    ATTEMPTS.append(context.attempt)
    if len(ATTEMPTS) > 2:
        threading.Event().wait()


def _train_randomly(state: State, context: TrainingContext) -> None:
    state["mean"] += np.frombuffer(os.urandom(1), np.uint8)[0]


def _print(state: State, context: TrainingContext) -> None:
    print("a line")


def _read_input(state: State, context: TrainingContext) -> None:
    assert sys.stdin.read() == ""
    assert os.read(0, 10) == b""


def _show_environment(state: State, context: TrainingContext) -> None:
    target = Path(os.environ["HOME"]) / "environment.json"
    target.write_text(json.dumps(dict(os.environ)))


def _confuse(state: State, context: TrainingContext) -> None:
    """Write into the channel that is not for tasks; its number is not told, but can be guessed."""
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"garbage\n")
        except OSError:
            continue


def _flood_channel(state: State, context: TrainingContext) -> None:
    while True:
        for descriptor in range(3, 30):
            try:
                os.write(descriptor, b"x" * 65536)
            except OSError:
                continue


def _raise(error: BaseException) -> Callable[[State, TrainingContext], None]:
    def behave(state: State, context: TrainingContext) -> None:
        raise error

    return behave


def _swallow_stop(state: State, context: TrainingContext) -> None:
    context.progress(0.5)
    while True:
        try:
            context.check()
        except Exception:
            return


def _result(change: Callable[[State], Any]) -> Callable[[State, TrainingContext], Any]:
    return lambda state, _: change(state)


def _nan_progress(state: State, context: TrainingContext) -> None:
    context.progress(float("nan"), loss=float("nan"))


BEHAVIOURS: dict[str, Callable[[State, TrainingContext], Any]] = {
    "flood": _flood,
    "print-natively": _print_natively,
    "wait-for-stop": _wait_for_stop,
    "swallow-stop": _swallow_stop,
    "hang": _hang,
    "hang-when-repeated": _hang_when_repeated,
    "train-randomly": _train_randomly,
    "print": _print,
    "read-input": _read_input,
    "show-environment": _show_environment,
    "confuse": _confuse,
    "flood-channel": _flood_channel,
    "nan-progress": _nan_progress,
    "raise": _raise(RuntimeError("the table has no rows")),
    "exit": _raise(SystemExit(0)),
    "interrupt": _raise(KeyboardInterrupt()),
    "end-process": lambda *_: os._exit(7),
    "crash": lambda *_: ctypes.string_at(0),
    "train-nothing": _result(lambda state: TrainingResult(state, 1)),
    "return-none": _result(lambda state: ()),
    "return-nan": _result(lambda state: TrainingResult({**state, "mean": np.array(np.nan, np.float32)}, 1)),
}
