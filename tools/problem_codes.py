"""The codes of the problems that a service answers with, found in its source: where one is raised, it is listed.

Reads source files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

_STATUS_FIRST: Final = frozenset({"ServiceProblem", "problem_response", "Problem", "problem", "_refuse"})
"""Calls whose first argument is a status and whose second is a code."""


def problems_in(folder: Path) -> dict[str, set[int]]:
    """Code -> statuses of the problems that the modules of a folder, and of those in it, answer with."""
    found: dict[str, set[int]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for status, code in _problems(node):
                found.setdefault(code, set()).add(status)
    return found


def codes_raised_in(path: Path, *names: str) -> list[str]:
    """The first arguments, where they are texts, of all calls of these names in a module, sorted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) in names]
    texts = {text for call in calls if call.args and (text := _text(call.args[0])) is not None}
    return sorted(texts)


def _problems(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Call(func=function, args=[first, second, *_]) if _name(function) in _STATUS_FIRST:
            status, code = _status(first), _text(second)
            if status is not None and code is not None:
                yield status, code
        case ast.Dict(keys=keys, values=values):  # a table of codes by status
            for key, value in zip(keys, values, strict=True):
                if key is not None and (status := _status(key)) is not None and (code := _text(value)) is not None:
                    yield status, code


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _status(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(value)) if 400 <= value < 600:
            return value
        case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
            return HTTPStatus[name].value
        case _:
            return None


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
