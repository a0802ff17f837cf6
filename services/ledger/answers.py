"""Records as HTTP answers: their canonical bytes. No I/O."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response

from consilo.api.models import Problem
from consilo.protocol.model import Record


def answer(record: Record) -> Response:
    """The record's canonical JSON."""
    return Response(record.encode(), media_type="application/json")


def documented(model: type[Record], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation answers, for OpenAPI: the model, and problems with these statuses."""
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "content": {"application/problem+json": {}}} for status in sorted({*statuses, 503})
    }
    return {200: {"model": model}, **problems}


def documented_body(model: type[Record]) -> dict[str, Any]:
    """The request body of an operation, for OpenAPI. The routes read it themselves, within bounds and strictly."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
