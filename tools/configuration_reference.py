"""docs/reference/configuration.md: made from the settings classes of all services, wherever one is found. Pure."""

from __future__ import annotations

import importlib
import json
import pkgutil
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

import services
from chaincode.settings import ChaincodeSettings
from tools.markdown import bullets, code, doc, heading, link, page, paragraph, table

_WORDS: Final = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path", type(None): "none"}


@dataclass(frozen=True)
class Setting:
    """One setting of a service.

    Attributes:
        variable: of the environment.
        flag: of the command line.
        type: in words.
        default: in words; `required` when there is none.
        meaning: what it is for.
    """

    variable: str
    flag: str
    type: str
    default: str
    meaning: str


def configuration_page() -> str:
    """The whole page."""
    classes = settings_classes()
    return page(
        "Configuration reference",
        paragraph(
            "Every service reads its settings from its command line and from the environment; the command line counts "
            "more. `python -m <service> --help` lists them too. A setting that is missing or wrong ends the "
            "start with exit code 2 and a line in the log that names its variable."
        ),
        bullets(
            [
                "Durations and sizes carry their unit in their name.",
                "Secrets are in files that settings name, never in a variable.",
                "Lists and objects are JSON, e.g. `CONSILO_LEDGER_ORGANISATIONS='[\"HospitalA\"]'`.",
                "Nested settings have two underscores in a variable and a dot in a flag.",
            ]
        ),
        bullets(link(_title(kind), _title(kind)) for kind in classes),
        *(part for kind in classes for part in _service(kind)),
    )


def settings_classes() -> list[type[BaseSettings]]:
    """The settings class of the chaincode, then of each service, in the order of their names."""
    found: list[type[BaseSettings]] = [ChaincodeSettings]
    for package in sorted(pkgutil.iter_modules(services.__path__), key=lambda module: module.name):
        if not package.ispkg:
            continue
        folder = importlib.import_module(f"services.{package.name}").__path__
        if "settings" not in {module.name for module in pkgutil.iter_modules(folder)}:
            continue
        module = importlib.import_module(f"services.{package.name}.settings")
        own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
        found += [kind for kind in own if issubclass(kind, BaseSettings)]
    return found


def settings_of(kind: type[BaseSettings]) -> Iterator[Setting]:
    """All settings of a service, nested ones included, in order."""
    yield from _settings(kind, str(kind.model_config.get("env_prefix", "")), "--", inherited=None)


def _settings(kind: type[BaseModel], variable: str, flag: str, inherited: BaseModel | None) -> Iterator[Setting]:
    for name, field in kind.model_fields.items():
        default = getattr(inherited, name) if inherited is not None else _default(field)
        inner = _nested(field.annotation)
        if inner:
            values = default if isinstance(default, BaseModel) else None
            prefixes = f"{variable}{name}__".upper(), f"{flag}{_kebab(name)}."
            yield from _merged({_kind(each): [*_settings(each, *prefixes, values)] for each in inner})
            continue
        words = type_in_words(field.annotation)
        option = f"{flag}{_kebab(name)}"
        yield Setting(
            variable=f"{variable}{name}".upper(),
            flag=f"{option}, --no-{option[2:]}" if field.annotation is bool else option,
            type=words,
            default="required" if default is PydanticUndefined else _value(default),
            meaning=field.description or "",
        )


def type_in_words(annotation: Any) -> str:
    """A setting's type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_in_words(arguments[0])
    if origin is Literal:
        return " or ".join(code(str(value)) for value in arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(type_in_words(each) for each in arguments if each is not type(None))
    if origin in {list, tuple}:
        return f"JSON list of {type_in_words(arguments[0])}"
    if origin is dict:
        return "JSON object"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _service(kind: type[BaseSettings]) -> list[str]:
    rows = [
        (f"{code(each.variable)}<br>{code(each.flag)}", each.type, each.default, each.meaning)
        for each in settings_of(kind)
    ]
    return [heading(2, _title(kind)), doc(kind), table(("variable, flag", "type", "default", "meaning"), rows)]


def _title(kind: type[BaseSettings]) -> str:
    return kind.__module__.removesuffix(".settings")


def _nested(annotation: Any) -> list[type[BaseModel]]:
    """The models that a setting may be, one for each kind of it; none when it is a single value."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _nested(arguments[0])
    if origin in {Union, types.UnionType}:
        return [model for each in arguments for model in _nested(each)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _merged(kinds: dict[str, list[Setting]]) -> Iterator[Setting]:
    """The settings of several kinds in one list: what kinds share once; what differs, with the kind it is of."""
    found: dict[str, dict[str, Setting]] = {}
    for name, settings in kinds.items():
        for each in settings:
            found.setdefault(each.variable, {})[name] = each
    for same in found.values():
        meanings = {each.meaning for each in same.values()}
        is_shared = len(same) == len(kinds) and len(meanings) == 1
        # One kind's default is enough: that kind is taken when nothing is said.
        defaults = dict.fromkeys(each.default for each in same.values() if each.default != "required")
        first = next(iter(same.values()))
        yield replace(
            first,
            type=" or ".join(dict.fromkeys(each.type for each in same.values())),
            default=" or ".join(defaults) or "required",
            meaning=first.meaning
            if is_shared
            else "; ".join(f"{code(name)}: {each.meaning}" for name, each in same.items()),
        )


def _kind(model: type[BaseModel]) -> str:
    """What tells this model from the others that a setting may be."""
    field = model.model_fields.get("kind")
    return model.__name__ if field is None else str(get_args(field.annotation)[0])


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Path):
        return code(str(value))
    return code(json.dumps(value if not isinstance(value, tuple) else list(value)))


def _kebab(name: str) -> str:
    return name.replace("_", "-")
