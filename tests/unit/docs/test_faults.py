"""The table of faults is true: it has a row for each case of each test that brings faults about, and no other."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.table import FAULTS, SECTIONS
from tools import docs
from tools.faults_reference import faults_page

ROOT = Path(__file__).resolve().parents[3]
TESTS = ROOT / "tests"


def functions_by_name() -> dict[str, Callable[..., Any]]:
    """`file::function` -> the function, of all tests of tests/faults, and of those of faults in tests/fabric."""
    found: dict[str, Callable[..., Any]] = {}
    for path in sorted((*(TESTS / "faults").glob("test_*.py"), *(TESTS / "fabric").glob("test_faults_*.py"))):
        module = importlib.import_module(f"tests.{path.parent.name}.{path.stem}")
        functions = {name: value for name, value in vars(module).items() if name.startswith("test_")}
        found |= {f"tests/{path.parent.name}/{path.name}::{name}": value for name, value in functions.items()}
    return found


def slow_cases(test: Callable[..., Any]) -> list[bool]:
    """Of each case of a test, in order, whether it is slow; one case when it has no parameters."""
    marks = getattr(test, "pytestmark", [])
    all_slow = any(mark.name == "slow" for mark in marks)
    cases = [values for mark in marks if mark.name == "parametrize" for values in mark.args[1]] or [()]
    return [all_slow or any(mark.name == "slow" for mark in getattr(values, "marks", ())) for values in cases]


def test_every_test_of_faults_is_in_the_table_and_every_test_of_the_table_is_there() -> None:
    assert {fault.test for fault in FAULTS} == set(functions_by_name())


def test_every_case_has_its_row_in_the_form_in_which_it_runs() -> None:
    for name, test in functions_by_name().items():
        assert [fault.slow for fault in FAULTS if fault.test == name] == slow_cases(test), name


def test_no_fault_is_listed_twice() -> None:
    assert [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1] == []


def test_the_page_has_a_line_for_each_fault_and_says_how_to_run_them() -> None:
    page = faults_page()
    assert sum(line.startswith("| ") for line in page.splitlines()) == len(FAULTS) + 2 * len(SECTIONS)
    assert docs.PAGES["faults.md"] is faults_page
    for command in ("make test-faults", "make test-fabric", "make test-all"):
        assert f"`{command}`" in page
        assert f"\n{command.removeprefix('make ')}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
