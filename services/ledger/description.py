"""What the service says of itself at /openapi.json, where FastAPI's own description would not be right. No I/O."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from services.ledger.answers import PROBLEM_TYPE

_JSON: Final = "application/json"


def describe(app: FastAPI) -> None:
    r"""Make the application's description right.

    - Problems are of their own media type.
    - Models that a request's body refers to stand among the components.
    - Patterns end with `$`: JSON Schema has no `\z`, and its `$` is the very end.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = plain()
            schemas = description["components"]["schemas"]
            for operations in description["paths"].values():
                for operation in operations.values():
                    _problems(operation["responses"])
                    _components(operation.get("requestBody", {}), schemas)
            app.openapi_schema = _patterns(description)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _problems(responses: dict[str, Any]) -> None:
    for response in responses.values():
        content = response.get("content", {})
        if PROBLEM_TYPE in content:
            content[PROBLEM_TYPE] = content.pop(_JSON)


def _components(body: dict[str, Any], schemas: dict[str, Any]) -> None:
    for content in body.get("content", {}).values():
        for name, schema in content["schema"].pop("$defs", {}).items():
            schemas.setdefault(name, schema)


def _patterns(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: item.removesuffix(r"\z") + "$"
                if key == "pattern" and isinstance(item, str) and item.endswith(r"\z")
                else _patterns(item)
                for key, item in value.items()
            }
        case list():
            return [_patterns(item) for item in value]
        case _:
            return value
