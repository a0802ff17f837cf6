"""What the steps of a verification add up to."""

from __future__ import annotations

import json

import pytest

from consilo.cli.exits import FAILED, FOUND, OK, UNAVAILABLE
from consilo.cli.verify import exit_code_of
from consilo.verification import CheckedGlobal, Report, Step
from consilo.verification.steps import Reason

CHECKED = CheckedGlobal(round=1, attempt=1, sha256="0" * 64, inputs=2, recomputed="0" * 64, stored=True)


def report(*last: Step) -> Report:
    first = tuple(Step(number, "ok", "") for number in range(1, 6 - len(last)))
    return Report("r", (*first, *last), None, (CHECKED,))


def missed(reason: Reason) -> Step:
    return Step(5, "not-possible", "", ("why",), reason)


def test_all_steps_ok() -> None:
    good = report()
    assert (good.ok, good.complete, good.failed) == (True, True, False)
    assert exit_code_of(good) == OK


@pytest.mark.parametrize(
    ("step", "ok", "exit_code"),
    [
        (Step(5, "failed", "", ("wrong",)), False, FOUND),
        (missed("not-allowed"), True, OK),
        (missed("expired"), True, OK),
        (missed("unavailable"), False, UNAVAILABLE),
        (missed("unsupported"), False, FAILED),
    ],
)
def test_one_step_that_is_not_ok(step: Step, ok: bool, exit_code: int) -> None:
    found = report(step)
    assert (found.ok, found.complete) == (ok, False)
    assert exit_code_of(found) == exit_code


def test_what_is_wrong_outweighs_what_was_away() -> None:
    both = report(Step(4, "failed", "", ("wrong",)), missed("unavailable"))
    assert exit_code_of(both) == FOUND


def test_programs_get_every_step_with_its_name() -> None:
    value = json.loads(json.dumps(report().as_json()))
    assert [(step["number"], step["name"]) for step in value["steps"]] == [
        (1, "chain"),
        (2, "signatures"),
        (3, "transitions"),
        (4, "inputs"),
        (5, "globals"),
    ]
    assert set(value) == {"run", "ok", "complete", "head", "steps", "globals"}
    assert value["globals"][0]["recomputed"] == "0" * 64
