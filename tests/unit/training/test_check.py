"""`check_task` says in words what is wrong with a task."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.training.check import Finding, check_task
from consilo.training.worker_process import WorkerSettings
from tests.unit.training.conftest import MEAN

ALL_STEPS = [
    "load",
    "initial-state",
    "initial-state-repeats",
    "train",
    "train-changes-state",
    "train-repeats",
    "train-checks-context",
    "cancel",
    "evaluate",
    "evaluate-leaves-state",
]


def check(settings: WorkerSettings, behaviour: str, **options: Any) -> dict[str, Finding]:
    findings = check_task(MEAN, {"behaviour": behaviour}, {"count": 5}, settings=settings, **options)
    return {finding.step: finding for finding in findings}


def test_a_good_task_passes_every_step_and_is_reported_as_it_goes(settings: WorkerSettings) -> None:
    seen: list[Finding] = []
    findings = check_task(MEAN, {}, {"count": 5}, settings=settings, on_finding=seen.append)
    assert seen == findings
    assert [finding.step for finding in findings] == ALL_STEPS
    assert all(finding.ok for finding in findings)
    assert "trained on 5 samples" in findings[3].sentence


@pytest.mark.parametrize(
    ("behaviour", "step", "words"),
    [
        ("initial-state-ignores-seed", "initial-state-repeats", "from the seed given to initial_state"),
        ("train-nothing", "train-changes-state", "return the trained state"),
        ("train-nothing", "train-checks-context", "call it for every batch"),
        ("train-randomly", "train-repeats", "draw everything that is random from context.seed"),
        ("evaluate-writes", "evaluate-leaves-state", "work on a copy"),
        ("return-nan", "train", "lower the learning rate"),
        ("raise", "train", "RuntimeError: the table has no rows"),
        ("evaluate-returns-nan", "evaluate", "must be a finite number"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(settings: WorkerSettings, behaviour: str, step: str, words: str) -> None:
    finding = check(settings, behaviour)[step]
    assert not finding.ok
    assert words in finding.sentence


def test_a_task_that_cannot_be_loaded_ends_the_check(settings: WorkerSettings) -> None:
    findings = check(settings, "load-raises")
    assert list(findings) == ["load"]
    assert "FileNotFoundError" in findings["load"].sentence
    assert findings["load"].details


def test_a_training_that_cannot_be_stopped_is_found_and_the_rest_still_checked(settings: WorkerSettings) -> None:
    findings = check(settings, "hang-when-repeated", stop_within_seconds=0.1)
    assert not findings["cancel"].ok
    assert "did not stop within 0.1 s" in findings["cancel"].sentence
    assert findings["evaluate"].ok


def test_printing_is_mentioned_and_no_fault(settings: WorkerSettings) -> None:
    finding = check(settings, "print")["train-prints"]
    assert finding.ok
    assert "wrote 2 times to standard output" in finding.sentence


def test_a_test_set_is_tried_where_a_task_has_one() -> None:
    findings = check_task("consilo.tasks.digits_linear:DigitsLinear", {}, {"silo": 0, "silos": 4})
    assert [finding.step for finding in findings] == [*ALL_STEPS, "test"]
    assert all(finding.ok for finding in findings)
