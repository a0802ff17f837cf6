"""Tries a task out before it joins a run: what is wrong, and what to do. Starts a process; writes temporary files.

The task runs in a worker like the one that will train it, so what is found here is what would happen there. Steps:

    load, initial-state, initial-state-repeats,
    train, train-changes-state, train-repeats, train-checks-context, train-prints,
    cancel, evaluate, evaluate-leaves-state, test (of a `BaselineTask`)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from consilo.training.errors import TaskStopped, WorkerError
from consilo.training.messages import EvaluationReply, InitialStateReply, Progress, RoundContext, TrainingReply
from consilo.training.worker_handle import TrainingWorker
from consilo.training.worker_process import WorkerSettings

DEFAULT_STOP_WITHIN_SECONDS: Final = 10.0

_CONTEXT: Final = RoundContext(run="check", round=0, attempt=0, seed=1)
_SEED: Final = 1


@dataclass(frozen=True)
class Finding:
    """What one step found.

    Attributes:
        step: name of the step.
        ok: whether the task is as it should be.
        sentence: what was found and, where something is wrong, what to do.
        details: lines that help, e.g. a traceback in the task.
    """

    step: str
    ok: bool
    sentence: str
    details: tuple[str, ...] = ()


def check_task(
    task: str,
    parameters: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    settings: WorkerSettings | None = None,
    stop_within_seconds: float = DEFAULT_STOP_WITHIN_SECONDS,
    on_finding: Callable[[Finding], None] | None = None,
) -> list[Finding]:
    """Run the steps of `checking`. `on_finding` is called with each finding as it comes.

    Not for use in a running event loop: iterate over `checking` there.
    """

    async def collect() -> list[Finding]:
        findings = []
        steps = checking(task, parameters, data, settings=settings, stop_within_seconds=stop_within_seconds)
        async for finding in steps:
            findings.append(finding)
            if on_finding is not None:
                on_finding(finding)
        return findings

    return asyncio.run(collect())


async def checking(
    task: str,
    parameters: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    settings: WorkerSettings | None = None,
    stop_within_seconds: float = DEFAULT_STOP_WITHIN_SECONDS,
) -> AsyncIterator[Finding]:
    """Try a task out, step by step; it trains three times. Ends early where a failure leaves nothing to try.

    Args:
        task: `module:Class`.
        parameters: as in a run's specification.
        data: as the silo's operator would give it.
        settings: limits of the worker.
        stop_within_seconds: within which a training that is cancelled must stop.
    """
    with TemporaryDirectory(prefix="consilo-task-check-") as directory:
        async with TrainingWorker(settings, name="task-check") as worker:
            trial = _Trial(worker, Path(directory))
            for step, steps in (
                ("load", trial.load(task, parameters, data)),
                ("initial-state", trial.initial_state()),
                ("train", trial.train()),
                ("cancel", trial.cancel(stop_within_seconds)),
                ("evaluate", trial.evaluate()),
                ("test", trial.test()),
            ):
                try:
                    async for finding in steps:
                        yield finding
                except WorkerError as error:
                    yield Finding(step, False, error.message, error.details)
                    if step in {"load", "initial-state"}:
                        return


class _Trial:
    """The steps, in their order; each is a generator that yields findings or raises a `WorkerError`."""

    def __init__(self, worker: TrainingWorker, directory: Path) -> None:
        self._worker = worker
        self._base = directory / "initial.safetensors"
        self._output = directory / "trained.safetensors"
        self._is_baseline = False
        self._initial: InitialStateReply | None = None

    async def load(self, task: str, parameters: Mapping[str, Any], data: Mapping[str, Any]) -> AsyncIterator[Finding]:
        reply = await self._worker.load(task, parameters=parameters, data=data)
        self._is_baseline = reply.baseline
        yield _good("load", f"{task}, version {reply.version}, loaded its data in {reply.seconds:.1f} s")

    async def initial_state(self) -> AsyncIterator[Finding]:
        first = self._initial = await self._worker.initial_state(_SEED, self._base)
        tensors = first.tensors.tensors
        elements = sum(tensor.elements for tensor in tensors)
        size = f"{len(tensors)} tensors, {elements:,} elements, {first.tensors.artifact_bytes:,} bytes"
        yield _good("initial-state", f"the model has {size}")
        second = await self._worker.initial_state(_SEED, self._base)
        yield _finding(
            "initial-state-repeats",
            first.sha256 == second.sha256,
            "the same seed gives the same model",
            "the same seed gives different models: draw all initial values from the seed given to initial_state",
        )
        self._initial = second  # the one that the file holds

    async def train(self) -> AsyncIterator[Finding]:
        first = await self._train()
        yield _good("train", f"trained on {first.num_samples} samples in {first.seconds:.1f} s: {_numbers(first)}")
        yield _finding(
            "train-changes-state",
            first.sha256 != self._known().sha256,
            "training changes the model",
            "training returned the model it was given: return the trained state, and look whether there is data",
        )
        second = await self._train()
        yield _finding(
            "train-repeats",
            first.sha256 == second.sha256,
            "the same round trains to the same model",
            "the same round trained to different models: draw everything that is random from context.seed in train, "
            "and keep nothing from one training to the next",
        )
        yield _finding(
            "train-checks-context",
            first.checks > 0,
            f"train called context.check() {first.checks} times",
            "train never called context.check(): call it for every batch, or the worker is killed when a round closes",
        )
        if first.prints:
            yield _good(
                "train-prints",
                f"train wrote {first.prints} times to standard output, which is the log; see context.progress()",
            )

    async def cancel(self, stop_within_seconds: float) -> AsyncIterator[Finding]:
        begun = asyncio.Event()
        training = asyncio.create_task(self._train(lambda _: begun.set()))
        beginning = asyncio.create_task(begun.wait())
        await asyncio.wait({training, beginning}, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        stopped_itself = await self._worker.cancel(stop_within_seconds)
        try:
            await training
            sentence = "the training was over before it could be cancelled"
        except TaskStopped:
            sentence = "a training that is cancelled stops"
        yield _finding(
            "cancel",
            stopped_itself,
            sentence,
            f"a training that was cancelled did not stop within {stop_within_seconds:g} s: call context.check() for "
            "every batch and let TrainingStopped pass",
        )

    async def evaluate(self) -> AsyncIterator[Finding]:
        reply = await self._worker.evaluate(self._base, self._known().tensors, compare=True)
        yield _good("evaluate", f"evaluated on {reply.num_samples} samples in {reply.seconds:.1f} s: {_numbers(reply)}")
        yield _finding(
            "evaluate-leaves-state",
            reply.unchanged is True,
            "evaluating leaves the model as it is",
            "evaluate changes the state it is given: work on a copy, and switch training behaviour off",
        )

    async def test(self) -> AsyncIterator[Finding]:
        if self._is_baseline:
            reply = await self._worker.test(self._base, self._known().tensors)
            yield _good("test", f"tested on {reply.num_samples} samples of the global test set: {_numbers(reply)}")

    async def _train(self, on_progress: Callable[[Progress], None] | None = None) -> TrainingReply:
        return await self._worker.train(self._base, self._output, self._known().tensors, _CONTEXT, on_progress)

    def _known(self) -> InitialStateReply:
        if self._initial is None:
            raise RuntimeError("initial_state comes first")
        return self._initial


def _good(step: str, sentence: str) -> Finding:
    return Finding(step, True, sentence)


def _finding(step: str, ok: bool, good: str, bad: str) -> Finding:
    return Finding(step, ok, good if ok else bad)


def _numbers(reply: TrainingReply | EvaluationReply) -> str:
    if not reply.metrics:
        return "no metrics (selection policies and dashboards will have none either)"
    return ", ".join(f"{name} {value:.4g}" for name, value in reply.metrics.items())
