"""Health of the service, for whoever runs it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from services.ledger.requests import LedgerPort

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Whether the process answers")
async def livez() -> Response:
    """Touches nothing else."""
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz", summary="Whether the ledger answers")
async def readyz(ledger: LedgerPort) -> Response:
    """503 with a problem when it does not."""
    await ledger.check()
    return Response("ok\n", media_type="text/plain")
