"""The reference pages say what the code says, all of it, and `--check` notices when they do not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_settings import BaseSettings, CliSettingsSource

from consilo.cli.main import app as command_line
from consilo.embedded.errors import LedgerOverloaded
from consilo.protocol.queries import QUERIES
from consilo.protocol.refusals import REFUSALS
from consilo.protocol.specification import Specification
from consilo.protocol.transitions.table import TRANSITIONS, Transition
from consilo.store.errors import ObjectExists
from tools import docs
from tools.cli_reference import walk
from tools.configuration_reference import settings_classes, settings_of
from tools.rest_reference import application

ROOT = Path(__file__).resolve().parents[3]


@cache
def page(name: str) -> str:
    return docs.PAGES[name]()


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found is not None, title
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest if end is None else rest[: end.start()]


def words(text: str) -> str:
    return " ".join(text.split())


# -- The tool ----------------------------------------------------------------------------------------------------------


def test_check_accepts_what_was_written(tmp_path: Path) -> None:
    assert docs.main([], tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(docs.PAGES)
    assert docs.main(["--check"], tmp_path) == 0


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_check_names_a_page_that_was_changed_and_says_what_to_do(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs.write(tmp_path)
    changed = tmp_path / name
    changed.write_text(changed.read_text() + "By hand.\n")
    assert docs.main(["--check"], tmp_path) == 1
    assert changed.read_text().endswith("By hand.\n"), "a check writes nothing"
    told = capsys.readouterr().err.splitlines()
    assert told == [f"docs/reference/{name} is not what the code says: run `make docs` and commit it"]


def test_check_names_a_page_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs.write(tmp_path)
    (tmp_path / "rest.md").unlink()
    assert docs.main(["--check"], tmp_path) == 1
    assert "docs/reference/rest.md" in capsys.readouterr().err


def test_writing_mends_what_was_changed(tmp_path: Path) -> None:
    docs.write(tmp_path)
    (tmp_path / "cli.md").write_text("")
    assert docs.write(tmp_path) == ["cli.md"]
    assert docs.differing(tmp_path) == []


def test_the_pages_do_not_depend_on_the_order_of_sets() -> None:
    program = "from tools.docs import PAGES\nfor make in PAGES.values(): print(make(), end='')"
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONUTF8": "1"}
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert made.stdout.decode() == "".join(page(name) for name in docs.PAGES)


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_no_page_holds_a_path_or_an_address_of_the_machine_that_made_it(name: str) -> None:
    assert str(ROOT) not in page(name)
    assert str(Path.home()) + "/" not in page(name)
    assert " object at 0x" not in page(name)


# -- The protocol ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transition", [TRANSITIONS[name] for name in sorted(TRANSITIONS)], ids=sorted(TRANSITIONS))
def test_every_transaction_is_described_with_its_body_and_its_refusals_in_order(transition: Transition) -> None:
    text = words(section(page("protocol.md"), transition.name))
    assert words(transition.does) in text
    for field in transition.body.model_fields:
        assert f"| `{field}` |" in text
    assert ", ".join(f"`{code}`" for code in transition.refusals) in text
    for effect in transition.effects:
        assert f"`{effect}`" in text


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_every_refusal_is_listed_with_what_it_means(code: str) -> None:
    kind = REFUSALS[code]
    rows = section(page("protocol.md"), "Refusals").splitlines()
    row = next(line for line in rows if line.startswith(f"| `{code}` |"))
    assert kind.meaning in row
    assert ("| retryable |" if kind.retryable else "| final |") in row
    assert not row.endswith("|  |"), "no transaction is refused with it"


def test_every_field_of_a_specification_is_explained() -> None:
    text = section(page("protocol.md"), "Specification")
    for field in set(Specification.model_fields) - {"schema_version"}:
        assert f"| `{field}` |" in text


def test_every_field_of_every_record_and_body_has_a_meaning() -> None:
    lines = page("protocol.md").splitlines()
    starts = [number for number, line in enumerate(lines) if line == "| field | type | meaning |"]
    assert len(starts) > 30
    for start in starts:
        for line in lines[start + 2 :]:
            if not line.startswith("|"):
                break
            assert not line.endswith("|  |"), line


def test_every_record_stands_under_its_key() -> None:
    text = section(page("protocol.md"), "Opening")
    assert "Key: `run/<run>/round/<0000007>/attempt/<0001>/opening`" in text


@pytest.mark.parametrize("query", sorted(QUERIES))
def test_every_query_is_listed(query: str) -> None:
    assert f"| `{query}` |" in section(page("protocol.md"), "Queries")


def test_the_life_of_a_run_is_drawn() -> None:
    drawing = page("protocol.md").split("```mermaid\n")[1].split("```")[0]
    named = {name for name in TRANSITIONS if name in drawing}
    assert named >= {"propose_run", "approve_run", "publish_global", "close_round", "reopen_round", "attest_global"}


# -- REST --------------------------------------------------------------------------------------------------------------


def test_every_operation_and_parameter_is_described() -> None:
    for path, operations in application().openapi()["paths"].items():
        for method, operation in operations.items():
            text = section(page("rest.md"), f"{method.upper()} {path}")
            assert operation["summary"] in text
            for parameter in operation.get("parameters", []):
                assert f"| `{parameter['name']}` |" in text


def test_the_overview_says_which_operations_need_a_token() -> None:
    rows = section(page("rest.md"), "Operations").splitlines()
    needs = {row.split("]")[0].removeprefix("| ["): row.endswith("| yes |") for row in rows if row.startswith("| [")}
    assert {operation for operation, token in needs.items() if not token} == {
        "POST /v1/transactions",
        "GET /v1/ledger",
        "GET /livez",
        "GET /readyz",
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("access-not-recorded", 409),
        ("token-wrong-request", 401),
        ("token-malformed", 401),
        ("method-not-allowed", 405),
        (LedgerOverloaded("").code, 503),
        (ObjectExists.code, 412),
    ],
)
def test_problem_codes_are_found_where_they_are_raised(code: str, status: int) -> None:
    assert re.search(rf"^\| `{code}` \| {status} \|", page("rest.md"), re.MULTILINE)


# -- Configuration -----------------------------------------------------------------------------------------------------


def test_all_services_are_found() -> None:
    found = {kind.__module__ for kind in settings_classes()}
    services = {f"services.{path.parent.name}.settings" for path in (ROOT / "services").glob("*/settings.py")}
    assert found == {*services, "chaincode.settings"}


@pytest.mark.parametrize("kind", settings_classes(), ids=lambda kind: kind.__module__)
def test_every_setting_is_described_by_the_names_that_the_service_knows(kind: type[BaseSettings]) -> None:
    text = section(page("configuration.md"), kind.__module__.removesuffix(".settings"))
    parser: Any = CliSettingsSource[object](kind).root_parser
    known = {option for action in parser._actions for option in action.option_strings}
    settings = list(settings_of(kind))
    prefix = str(kind.model_config["env_prefix"])
    for setting in settings:
        assert f"| `{setting.variable}`<br>" in text
        assert setting.variable.startswith(prefix)
        assert setting.meaning, setting
        assert set(setting.flag.split(", ")) <= known
        assert setting.variable.removeprefix(prefix).lower().replace("__", ".").replace("_", "-") in setting.flag
    of_single_values = {option for option in known if option.startswith("--")} - {"--help"}
    listed = {flag for setting in settings for flag in setting.flag.split(", ")}
    groups = {flag.rpartition(".")[0] for flag in listed}
    assert of_single_values - listed <= groups, "a flag of the service is missing from the page"


# -- Command line ------------------------------------------------------------------------------------------------------


def test_every_command_and_option_is_described() -> None:
    commands = walk(typer.main.get_command(command_line), "consilo")
    assert len(commands) > 10
    for path, command in commands:
        if hasattr(command, "list_commands"):
            continue
        text = section(page("cli.md"), path) + section(page("cli.md"), "Common options")
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}`" in text
