"""The charts as helm's own linter sees them, and each with what a chart must have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from k8s.organisations import CHARTS
from tests.chart.charts import Case, command, shipped_cases

CHART_NAMES = ("consilo", "fabric")


@pytest.mark.parametrize("case", shipped_cases(), ids=lambda case: case.name.replace(" ", "-"))
def test_the_linter_has_nothing_to_say(case: Case) -> None:
    files = [argument for file in case.files for argument in ("--values", str(file))]
    done = command("helm", "lint", "--strict", "--quiet", str(CHARTS / case.chart), *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_every_value_is_in_the_schema_and_nothing_else_is_taken(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    open_objects = [path for path, each in objects_of(schema, "") if "additionalProperties" not in each]
    assert open_objects == [], "the schema is closed everywhere"
    assert values.keys() <= schema["properties"].keys()


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_every_value_is_explained_in_the_readme(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    readme = (CHARTS / chart / "README.md").read_text()
    missing = [path for path in leaves_of(values) if not any(f"`{each}`" in readme for each in with_parents(path))]
    assert missing == []


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_notes_say_what_to_do_next(chart: str) -> None:
    notes = (CHARTS / chart / "templates" / "NOTES.txt").read_text()
    assert "kubectl" in notes


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_a_chart_names_no_registry_of_its_makers(chart: str) -> None:
    for file in sorted((CHARTS / chart).rglob("*")):
        if file.is_file():
            assert "localhost:5000" not in file.read_text(), file


def objects_of(schema: object, path: str) -> list[tuple[str, dict[str, object]]]:
    """Every description of an object in a schema that names its properties, and where it stands."""
    found: list[tuple[str, dict[str, object]]] = []
    match schema:
        case dict():
            if isinstance(schema.get("properties"), dict):
                found.append((path, schema))
            for key, value in schema.items():
                if key not in {"if", "then", "else", "not", "allOf", "anyOf", "oneOf"}:  # these only narrow down
                    found += objects_of(value, f"{path}/{key}")
        case list():
            for index, value in enumerate(schema):
                found += objects_of(value, f"{path}/{index}")
    return found


def leaves_of(values: object, path: str = "") -> list[str]:
    """The paths of all values that hold no further ones."""
    if not isinstance(values, dict) or not values:
        return [path]
    return [leaf for key, value in values.items() for leaf in leaves_of(value, f"{path}.{key}" if path else key)]


def with_parents(path: str) -> list[str]:
    """The path of a value, and those of what holds it: resources are explained as a whole."""
    keys = path.split(".")
    return [".".join(keys[:length]) for length in range(1, len(keys) + 1)]


def read(path: Path) -> str:
    """A file's text."""
    return path.read_text(encoding="utf-8")
