"""Waiting for what is away for a while: exponential backoff with jitter (stamina), said so in the log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import stamina
import structlog

from consilo.api.errors import GatewayUnavailable
from consilo.api.settings import ApiSettings
from consilo.api.transfer_errors import TransferError, UrlExpired

T = TypeVar("T")

_LOG_EVERY_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


def is_away(error: BaseException) -> bool:
    """Whether a gateway or store is away, or a signed URL was too old, so that the call may succeed when made again."""
    return isinstance(error, GatewayUnavailable | UrlExpired) or (isinstance(error, TransferError) and error.retryable)


class Patience:
    """Repeats calls that fail because somebody is away.

    Args:
        settings: first and longest wait.
        limit_seconds: gives up after this time; None waits for ever (until the task is cancelled).
    """

    def __init__(self, settings: ApiSettings, limit_seconds: float | None = None) -> None:
        self._settings = settings
        self._limit_seconds = limit_seconds

    async def __call__(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call until it succeeds or fails for another reason.

        Args:
            what: for the log: what is being done, e.g. `publish an update`.
            call: makes one attempt.

        Raises:
            ApiError, TransferError: as the call does, for reasons that waiting does not mend or when the time is over.
        """
        started = time.monotonic()
        logged: list[float] = []

        def again(error: Exception) -> bool:
            if not is_away(error):
                return False
            if not logged or time.monotonic() - logged[-1] >= _LOG_EVERY_SECONDS:
                log.warning("waiting", to=what, because=str(error), waited_seconds=round(time.monotonic() - started, 1))
                logged.append(time.monotonic())
            return True

        async for attempt in stamina.retry_context(
            on=again,
            attempts=None,
            timeout=self._limit_seconds,
            wait_initial=self._settings.backoff_first_seconds,
            wait_max=self._settings.backoff_longest_seconds,
            wait_jitter=self._settings.backoff_first_seconds,
        ):
            with attempt:
                result = await call()
        if logged:
            log.info("back", to=what, waited_seconds=round(time.monotonic() - started, 1))
        return result
