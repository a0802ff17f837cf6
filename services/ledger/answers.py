"""Records as HTTP answers: their canonical bytes. No I/O."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi.responses import Response

from consilo.api.models import Problem
from consilo.protocol.model import Record

PROBLEM_TYPE: Final = "application/problem+json"
_OF_TOKENS: Final = (401, 408, 413)


def answer(record: Record) -> Response:
    """The record's canonical JSON."""
    return Response(record.encode(), media_type="application/json")


def documented(model: type[Record], *statuses: int, token: bool = True) -> dict[int | str, dict[str, Any]]:
    """What an operation answers, for OpenAPI: the model, and problems with these statuses.

    Args:
        model: of the answer.
        statuses: of problems that are the operation's own.
        token: whether it needs a token, so that it reads a request's body and may refuse its sender.
    """
    return {200: {"model": model}, **documented_problems(*statuses, token=token)}


def documented_problems(*statuses: int, token: bool = True) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation, as `documented` has them."""
    general = _OF_TOKENS if token else ()
    problems: dict[int | str, dict[str, Any]] = {
        status: {
            "model": Problem,
            "content": {PROBLEM_TYPE: {}},
            "description": f"A problem: {HTTPStatus(status).phrase.lower()}",
        }
        for status in sorted({*statuses, *general, 503})
    }
    # Without it, FastAPI would document the answer 422, which is never given.
    problems["default"] = {"model": Problem, "content": {PROBLEM_TYPE: {}}, "description": "Any other problem"}
    return problems


def documented_body(model: type[Record]) -> dict[str, Any]:
    """The request body of an operation, for OpenAPI. The routes read it themselves, within bounds and strictly."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
