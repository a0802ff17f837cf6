"""`consilo task check`: a good task and a bad one, told to people and programs."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from consilo.cli.exits import CliError
from consilo.cli.main import app
from consilo.cli.task import pairs

GOOD = "consilo.tasks.digits_linear:DigitsLinear"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["task", "check", *arguments])


def test_a_good_task_can_join_a_run() -> None:
    result = check(GOOD, "--data", "silo=0", "--data", "silos=4", "--parameter", "local_epochs=1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert all(line.startswith("✓ ") for line in lines[:-1])
    assert lines[-1] == f"{GOOD} can join a run."


def test_a_task_that_is_not_there_is_said_to_be_wrong() -> None:
    result = check("nowhere:Task", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert [(finding["step"], finding["ok"]) for finding in told["findings"]] == [("load", False)]
    people = check("nowhere:Task")
    assert people.exit_code == 1
    assert people.stdout.startswith("✗ load: ")


def test_a_parameter_that_the_task_does_not_take_is_named() -> None:
    result = check(GOOD, "--parameter", "epoch=1")
    assert result.exit_code == 1
    assert "epoch" in result.stdout


def test_values_are_text_unless_they_are_json_beyond_numbers() -> None:
    assert pairs(["a=1", "b=x=y", "c=[1, 2]", 'd={"e": "f"}', "g=true", "h=null", "i="], "--data") == {
        "a": "1",
        "b": "x=y",
        "c": [1, 2],
        "d": {"e": "f"},
        "g": True,
        "h": None,
        "i": "",
    }


@pytest.mark.parametrize("texts", [["a"], ["=1"], ["a=1", "a=2"], ["a=[1"]])
def test_other_values_are_wrong_usage(texts: list[str]) -> None:
    with pytest.raises(CliError) as refused:
        pairs(texts, "--data")
    assert refused.value.exit_code == 2
    arguments = [part for text in texts for part in ("--data", text)]
    assert check(GOOD, *arguments).exit_code == 2
