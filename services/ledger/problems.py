"""Errors as HTTP answers: RFC 9457 problems with the codes of the protocol. No I/O."""

from __future__ import annotations

from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from consilo.api.models import Problem
from consilo.identity.errors import TokenRefused
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.store.errors import StoreUnavailable
from services.ledger.port import LedgerUnavailable

log = structlog.get_logger(__name__)

_STATUS: Final = {
    "malformed": 400,
    "too-large": 413,
    "run-unknown": 404,
    "organisation-unknown": 404,
    "attempt-not-open": 404,
}
"""HTTP status by code; refusals that are not listed are conflicts (409)."""


class ServiceProblem(Exception):
    """An error of the service itself, as opposed to the protocol's refusals."""

    def __init__(self, status: int, code: str, detail: str, *, retryable: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retryable = retryable


def problem_response(status: int, code: str, detail: str, *, retryable: bool) -> Response:
    """The answer that says what went wrong."""
    title = code.replace("-", " ").capitalize()
    problem = Problem(title=title, status=status, detail=detail, code=code, retryable=retryable)
    headers = {"retry-after": "1"} if status == 503 else None
    return Response(problem.encode(), status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error of the routes with a problem."""

    @app.exception_handler(Refusal)
    async def _refusal(_: Request, error: Refusal) -> Response:
        status = _STATUS.get(error.code, 409)
        return problem_response(status, error.code, error.message, retryable=error.retryable)

    @app.exception_handler(InvalidInput)
    async def _invalid(_: Request, error: InvalidInput) -> Response:
        return problem_response(_STATUS[error.code], error.code, error.message, retryable=False)

    @app.exception_handler(TokenRefused)
    async def _token(_: Request, error: TokenRefused) -> Response:
        response = problem_response(401, error.code, error.message, retryable=False)
        response.headers["www-authenticate"] = "Bearer"
        return response

    @app.exception_handler(LedgerUnavailable)
    async def _unavailable(_: Request, error: LedgerUnavailable) -> Response:
        return problem_response(503, error.code, error.message, retryable=True)

    @app.exception_handler(StoreUnavailable)
    async def _store(_: Request, error: StoreUnavailable) -> Response:
        return problem_response(503, "store-unavailable", str(error), retryable=True)

    @app.exception_handler(ServiceProblem)
    async def _service(_: Request, error: ServiceProblem) -> Response:
        return problem_response(error.status, error.code, error.detail, retryable=error.retryable)

    @app.exception_handler(ClientDisconnect)
    async def _gone(_: Request, __: ClientDisconnect) -> Response:
        # Nobody hears it. A client that ends while it asks is no defect of this service.
        return problem_response(400, "client-gone", "the client closed the connection", retryable=True)

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem_response(400, "malformed", f"{place}: {first['msg']}", retryable=False)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http-error")
        response = problem_response(error.status_code, code, str(error.detail), retryable=False)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _defect(request: Request, error: Exception) -> Response:
        log.error("a request failed by a defect", path=request.url.path, exc_info=error)
        return problem_response(
            500, "internal-error", "this is a defect of the service; its log says more", retryable=True
        )
