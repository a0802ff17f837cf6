"""The tables of the charts' READMEs say what values.yaml and flows.yaml say, and a value without a comment is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import charts
from tools.charts import Undocumented, Value, values_of

VALUES = """\
# About the file: this is no value's.

# First line
# and second
plain: 1

group:
  # Of `one`
  one: {a: [1, two]}
  # Of a list
  list:
    - {x: 1}

# Of a whole
whole:
  inner: true
"""

README = "# A chart\n\n<!-- values -->\nold\n<!-- end -->\n\nBy hand.\n\n<!-- flows -->\n<!-- end -->\n"
FLOWS = "flows:\n  - {from: [a, b], to: c, ports: [1, 2], why: because}\n  - {from: [c], to: d, why: they must}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one chart."""
    chart = tmp_path / "helm" / "one"
    (chart / "files").mkdir(parents=True)
    (chart / "values.yaml").write_text(VALUES)
    (chart / "README.md").write_text(README)
    (chart / "files" / "flows.yaml").write_text(FLOWS)
    return chart.parent


def test_a_value_is_what_has_a_comment() -> None:
    assert values_of(VALUES) == [
        Value("plain", "1", "First line and second"),
        Value("group.one", '{"a": [1, "two"]}', "Of `one`"),
        Value("group.list", '[{"x": 1}]', "Of a list"),
        Value("whole", '{"inner": true}', "Of a whole"),
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [("a: 1\n", "a"), ("# A\na: 1\n\nb: {c: 1}\n", "b"), ("a:\n  # C\n  c: 1\n  d: 1\n", "a.d")],
    ids=["at-the-top", "a-mapping", "further-down"],
)
def test_a_value_without_a_comment_is_named(text: str, name: str) -> None:
    with pytest.raises(Undocumented, match=rf"line \d+: {name} has no comment"):
        values_of(text)


def test_tables_are_written_and_the_rest_is_left_as_it_is(folder: Path) -> None:
    assert charts.main([], folder) == 0
    text = (folder / "one" / "README.md").read_text()
    assert "| `plain` | `1` | First line and second |" in text
    assert "| `a`, `b` | `c` 1, 2 | because |" in text
    assert "| `c` | `d` | they must |" in text
    assert "old" not in text
    assert "By hand." in text
    assert charts.main(["--check"], folder) == 0


def test_check_names_a_readme_that_is_out_of_date_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert charts.main(["--check"], folder) == 1
    assert (folder / "one" / "README.md").read_text() == README
    assert "helm/one/README.md is not what its chart says" in capsys.readouterr().err


def test_a_chart_with_a_value_that_has_no_comment_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "one" / "values.yaml").write_text("a: 1\n")
    assert charts.main([], folder) == 1
    assert "one/values.yaml: line 1: a has no comment" in capsys.readouterr().err


def test_the_charts_of_this_project_are_up_to_date() -> None:
    assert charts.main(["--check"]) == 0
