"""The README's example is what it says: it runs, and what surrounds it is read by the programs that it is for."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer

from consilo.cli.form import RunForm
from consilo.cli.main import app
from consilo.training.check import check_task
from services.local.settings import DemoSettings
from tools.cli_reference import walk

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The one fenced block of a language that contains a text."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return found


def option_values(command: str, option: str) -> dict[str, str]:
    words = shlex.split(command)
    pairs = [words[place + 1] for place, word in enumerate(words) if word == option]
    return dict(pair.split("=", 1) for pair in pairs)


def check_command() -> str:
    (line,) = [line for line in README.splitlines() if "consilo task check" in line]
    return line.removeprefix("$ ")


def test_the_example_is_under_forty_lines() -> None:
    assert len(block("python", "class Risk").splitlines()) < 40


def test_the_example_passes_the_check_that_the_readme_tells_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = check_command()
    (tmp_path / "risk.py").write_text(block("python", "class Risk"), encoding="utf-8")
    random = np.random.default_rng(3)
    features = random.normal(size=(200, int(option_values(command, "--parameter")["features"])))
    table = np.column_stack([features, features.sum(axis=1) > 0])
    data = {name: str(tmp_path / value) for name, value in option_values(command, "--data").items()}
    np.savetxt(data["file"], table, delimiter=",")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = check_task("risk:Risk", option_values(command, "--parameter"), data)
    assert [finding for finding in findings if not finding.ok] == []
    assert {"train", "cancel", "evaluate"} <= {finding.step for finding in findings}
    accuracy = next(finding.sentence for finding in findings if finding.step == "evaluate")
    assert "accuracy" in accuracy


def test_the_commands_of_the_readme_exist() -> None:
    known = {path for path, _ in walk(typer.main.get_command(app), "consilo")}
    used = set(re.findall(r"consilo (?:run|task|verify|ledger|model|identity|organisation)(?: [a-z]+)?", README))
    assert {"consilo task check", "consilo run propose"} <= used <= known


def test_the_proposal_is_one_and_names_the_example() -> None:
    form = RunForm.model_validate(tomllib.loads(block("toml", "[task]")))
    assert form.task.name == "risk"
    assert form.initial.class_ == "risk:Risk"
    assert set(form.task.parameters) == set(option_values(check_command(), "--parameter"))


def test_the_client_is_told_of_the_example_as_its_settings_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.client.settings import ClientSettings

    words = shlex.split(next(line for line in README.splitlines() if "--tasks" in line).strip("`. ").split("`")[0])
    flags = dict(zip(words[::2], words[1::2], strict=True))
    settings = ClientSettings(
        identity=Path("silo"),
        gateway_url="http://127.0.0.1:8080",
        work_directory=Path("work"),
        tasks=json.loads(flags["--tasks"]),
        data=json.loads(flags["--data"]),
    )
    assert settings.tasks == {"risk@1": "risk:Risk"}
    assert set(settings.data) == set(option_values(check_command(), "--data"))


def test_the_options_of_the_demonstration_and_their_defaults_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| `([A-Z]+)=[^`]*` \| .* \| `?([^|`]+?)`? \|$", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = {True: "on", False: "off", None: "none"}
    for option, default in rows.items():
        assert f"({option})" in makefile or f"flag,{option}," in makefile
        setting = DemoSettings.model_fields[option.lower()]
        value = setting.default
        _, _, told = (setting.description or "").partition("default: ")  # where it depends on another setting
        assert default == (told or (words[value] if value is None or isinstance(value, bool) else str(value)))
    assert set(rows) == {"TASK", "LEDGER", "SILOS", "ROUNDS", "ALPHA", "SEED", "KEEP", "REPORT"}


def test_the_targets_that_the_readme_names_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z-]+)", block("console", "make demo"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
