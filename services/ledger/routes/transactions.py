"""Handing in transactions."""

from __future__ import annotations

from fastapi import APIRouter, Response

from consilo.api.gateway import now_ms
from consilo.api.heads import sign_head
from consilo.api.models import Committed
from consilo.protocol.transaction import Transaction
from services.ledger.answers import answer, documented, documented_body
from services.ledger.port import Commit
from services.ledger.requests import Body, LedgerPort, Services, Shared

router = APIRouter(prefix="/v1", tags=["transactions"])


@router.post(
    "/transactions",
    summary="Hand in a signed transaction",
    responses=documented(Committed, 400, 404, 408, 409, 413, token=False),
    openapi_extra=documented_body(Transaction),
)
async def submit(ledger: LedgerPort, shared: Shared, body: Body) -> Response:
    """Answers when the transaction is on the ledger. Needs no token: the transaction carries its member's signature.

    The same payload again succeeds and changes nothing (`repeated`). A refusal's `code` is that of the protocol
    reference; `retryable` says whether the same payload may be admitted later.
    """
    transaction = Transaction.parse(body, max_bytes=shared.settings.max_body_bytes)
    return answer(committed_answer(shared, await ledger.submit(transaction)))


def committed_answer(services: Services, commit: Commit) -> Committed:
    """What the sender of a transaction is told, with this gateway's word for the head."""
    return Committed(
        transaction=commit.transaction,
        time=commit.time,
        repeated=commit.repeated,
        head=sign_head(services.identity, commit.head, now_ms()),
    )
