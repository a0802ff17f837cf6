"""The fields of a record, read from its source: their types as they are spelled there, and what their docstrings say.

Reads source files. Types are taken from the source and not from pydantic, which forgets the names of value types.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

from pydantic import BaseModel, StringConstraints

from tools.markdown import code

_WORDS: Final = {"int": "integer", "str": "text", "bool": "boolean", "float": "number", "JsonValue": "any JSON value"}
_ENTRY: Final = re.compile(r"^ {4}([a-z_][a-z_0-9, ]*): (.*)$")


@dataclass(frozen=True)
class FieldOfModel:
    """One field.

    Attributes:
        name: of the field.
        type: in words, with links to the types that the page describes.
        meaning: from the `Attributes` section of the class; empty when it says nothing.
    """

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class ValueType:
    """A named type of a module, e.g. `Digest`.

    Attributes:
        name: of the type.
        form: in words.
        meaning: what the docstring below it says.
    """

    name: str
    form: str
    meaning: str


def fields_of(model: type[BaseModel], link: Callable[[str], str]) -> list[FieldOfModel]:
    """The fields of a record in order, without `schema_version`.

    Args:
        model: the record.
        link: makes the text for a named type.
    """
    found: dict[str, FieldOfModel] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel) or kind is BaseModel:
            continue
        meanings = attributes_of(kind)
        module = sys.modules[kind.__module__]
        for node in _class_node(kind).body:
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id != "model_config"
            ):
                name = node.target.id
                found[name] = FieldOfModel(name, type_in_words(node.annotation, module, link), meanings.get(name, ""))
    found.pop("schema_version", None)
    return list(found.values())


def attributes_of(kind: type) -> dict[str, str]:
    """The `Attributes` section of a class's docstring: field -> meaning."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, separator, section = text.partition("\nAttributes:\n")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines() if separator else []:
        if entry := _ENTRY.match(line):
            names = entry[1].replace(" ", "").split(",")
            meanings.update(dict.fromkeys(names, entry[2]))
        elif line.startswith("     "):
            meanings.update({name: f"{meanings[name]} {line.strip()}" for name in names})
        elif line.strip():
            break
    return meanings


def value_types(module: ModuleType, link: Callable[[str], str]) -> list[ValueType]:
    """The public types that a module names, in its order."""
    body = _tree(Path(str(module.__file__))).body
    found = []
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        if name.startswith("_") or name.isupper() or not isinstance(node.value, ast.Subscript):
            continue
        documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        meaning = str(following.value.value) if documented else ""  # type: ignore[union-attr]  # looked at above
        form = type_in_words(node.value, module, link)
        if pattern := _pattern(getattr(module, name)):
            form = f"text like {code(pattern)}"
        found.append(ValueType(name, form, meaning))
    return found


def type_in_words(node: ast.expr, module: ModuleType, link: Callable[[str], str]) -> str:
    """A type annotation in words."""

    def words(inner: ast.expr) -> str:
        return type_in_words(inner, module, link)

    match node:
        case ast.Constant(value=None):
            return "null"
        case ast.Name(id=name):
            return _WORDS.get(name) or link(name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return f"{words(left)} or {words(right)}"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            elements = values.elts if isinstance(values, ast.Tuple) else [values]
            return " or ".join(code(_text(element, module)) for element in elements)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[base, *constraints])):
            return words(base) + "".join(_bounds(constraint, module) for constraint in constraints)
        case ast.Subscript(value=ast.Name(id="tuple" | "list"), slice=ast.Tuple(elts=[element, _]) | element):
            return f"list of {words(element)}"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
            return f"object: {words(key)} to {words(value)}"
        case _:
            return code(ast.unparse(node))


def _bounds(node: ast.expr, module: ModuleType) -> str:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id == "AfterValidator":
        return ""
    limits = {keyword.arg: _text(keyword.value, module) for keyword in node.keywords}
    least, most = limits.get("ge") or limits.get("min_length"), limits.get("le") or limits.get("max_length")
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None and "lt" in limits:
        return f", at least {least}, below {limits['lt']}"
    if least is not None:
        return f", at least {least}"
    if most is not None:
        return f", at most {most}"
    return f", like {code(limits['pattern'])}" if "pattern" in limits else ""


def _text(node: ast.expr, module: ModuleType) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(id=name):
            return str(getattr(module, name))
        case _:
            return ast.unparse(node).replace(" ** ", "**").replace(" * ", "*").replace(" - ", "-")


def _pattern(kind: Any) -> str | None:
    for constraint in get_args(kind)[1:]:
        if isinstance(constraint, StringConstraints) and isinstance(constraint.pattern, str):
            return constraint.pattern.removeprefix("^").removesuffix(r"\z").removesuffix("$")
    return None


def _class_node(kind: type) -> ast.ClassDef:
    source = Path(inspect.getsourcefile(kind) or "")
    return next(node for node in _tree(source).body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
