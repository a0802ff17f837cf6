"""The table of attacks is true: every row's test is there, and every code is one that the code has."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from consilo.protocol.refusals import REFUSALS
from tests.attacks.table import ATTACKS, MACHINE, SECTIONS, Attack
from tools import docs
from tools.attacks_reference import attacks_page

ROOT = Path(__file__).resolve().parents[2]


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.where}: {attack.name}")
def test_the_test_of_every_attack_is_there(attack: Attack) -> None:
    file, _, function = attack.test.partition("::")
    assert function.startswith("test_")
    assert function in functions(file), attack.test


def test_no_attack_is_listed_twice() -> None:
    assert [
        pair for pair, count in Counter((attack.where, attack.name) for attack in ATTACKS).items() if count > 1
    ] == []


def test_the_state_machines_codes_are_those_of_its_refusals() -> None:
    codes = {attack.code for attack in ATTACKS if attack.where == MACHINE and "counted" not in attack.code}
    assert codes <= set(REFUSALS)


def test_the_page_has_a_line_for_each_attack() -> None:
    page = attacks_page()
    assert sum(line.startswith("| ") for line in page.splitlines()) == len(ATTACKS) + 2 * len(SECTIONS)
    assert docs.PAGES["attacks.md"] is attacks_page
