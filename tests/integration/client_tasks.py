"""A task for tests of the client: its operator's directory says how it behaves, and tells what it did."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from consilo.training.task import Evaluation, State, TrainingContext, TrainingResult


class Watched:
    """Adds to its weights. In the directory `data["directory"]`:

    `loads` and `trainings` get a line for each; `environment.json` is what the worker's environment holds. While there
    is a file `hold`, a training goes on; while there is a file `fail`, it fails.
    """

    version: ClassVar[str] = "1"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._wait = threading.Event()

    def load(self, data: Mapping[str, Any]) -> None:
        self._directory = Path(data["directory"])
        self._samples = int(data.get("samples", 10))
        self._note("loads", str(os.getpid()))
        (self._directory / "environment.json").write_text(json.dumps(dict(os.environ)))

    def initial_state(self, seed: int) -> State:
        return {"weights": np.zeros(2, np.float32)}

    def train(self, state: State, context: TrainingContext) -> TrainingResult:
        self._note("trainings", f"{context.run} {context.round} {context.attempt}")
        context.progress(0.5, loss=0.25)
        while (self._directory / "hold").exists():
            context.check()
            self._wait.wait(0.01)
        if (self._directory / "fail").exists():
            raise RuntimeError("the scanner is away")
        state["weights"] += np.float32(context.round + 1)
        return TrainingResult(state, self._samples, {"loss": 0.5})

    def evaluate(self, state: State) -> Evaluation:
        return Evaluation(4, {"weight": float(state["weights"][0])})

    def _note(self, file: str, line: str) -> None:
        with (self._directory / file).open("a") as stream:
            stream.write(line + "\n")
