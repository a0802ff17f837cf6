"""Health of the service, for whoever runs it."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from services.ledger.answers import documented_problems
from services.ledger.requests import LedgerPort

router = APIRouter(tags=["health"])

_OK: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/plain": {}}, "description": "`ok`"}}


@router.get("/livez", summary="Whether the process answers", responses=_OK, response_class=Response)
async def livez() -> Response:
    """Touches nothing else."""
    return Response("ok\n", media_type="text/plain")


@router.get(
    "/readyz",
    summary="Whether the ledger answers",
    responses={**_OK, **documented_problems(token=False)},
    response_class=Response,
)
async def readyz(ledger: LedgerPort) -> Response:
    """503 with a problem when it does not."""
    await ledger.check()
    return Response("ok\n", media_type="text/plain")
