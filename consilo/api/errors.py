"""The errors of the client library. Pure; no I/O.

ApiError                    root; `code` is stable
|- GatewayUnavailable       no answer, or one that says to try again later
|- GatewayRefused           the gateway said no (`retryable` says whether later may be better)
|- GatewayNotAllowed        another organisation's gateway lies where it must not; nothing was sent
|- LedgerRolledBack         the ledger lacks a block that it showed before
'- AnswerInvalid            what came back is not what the API promises
"""

from __future__ import annotations


class ApiError(Exception):
    """Root of the errors of `consilo.api`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class GatewayUnavailable(ApiError):
    """The gateway cannot be reached, or is not ready."""

    def __init__(self, message: str, code: str = "gateway-unavailable") -> None:
        super().__init__(code, message)


class GatewayRefused(ApiError):
    """The gateway, or the ledger behind it, refused the request.

    Attributes:
        status: HTTP status.
        retryable: whether the same request may succeed later.
    """

    def __init__(self, code: str, message: str, *, status: int, retryable: bool) -> None:
        super().__init__(code, message)
        self.status = status
        self.retryable = retryable


class GatewayNotAllowed(ApiError):
    """Another organisation registered a gateway in a network to which this member may not be led."""

    def __init__(self, message: str) -> None:
        super().__init__("gateway-not-allowed", message)


class LedgerRolledBack(ApiError):
    """The ledger lacks a block that it showed before: it was restored from an old copy, or replaced."""

    def __init__(self, message: str) -> None:
        super().__init__("ledger-rolled-back", message)


class AnswerInvalid(ApiError):
    """The gateway's answer is not what the API promises."""

    def __init__(self, message: str) -> None:
        super().__init__("answer-invalid", message)
