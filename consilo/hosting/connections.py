"""One HTTP connection of an unknown peer, with bounds on what it may hold and for how long. Does network I/O.

uvicorn's own protocol waits for a request's head for ever and takes one of any size. Here:

- a head arrives whole within `head_timeout_seconds` of its first byte (of the connection, for the first one), and has
  at most `max_head_bytes`;
- a peer that reads no byte of an answer for `stall_timeout_seconds` is cut off;
- when there are more than `max_connections`, those that have waited longest for a request make room; when none waits,
  the others are answered 503, except at `/livez`, and beyond `SPARE_CONNECTIONS` more they are closed;
- when an answer comes before the end of the body, the rest is read and thrown away, up to a bound, so that the answer
  reaches the peer;
- what is no HTTP is answered with a problem.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from consilo.api.models import Problem

SPARE_CONNECTIONS: Final = 64
"""Connections beyond the most, which get an answer that says so."""

_JUST_CAME_SECONDS: Final = 0.1
"""What a connection has at least, for its request to arrive; others make room before."""
_HEADER_BYTES: Final = len(b": \r\n")
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 16 * 2**20


@dataclass(frozen=True)
class Bounds:
    """What a peer may do.

    Attributes:
        max_connections: served at once.
        head_timeout_seconds: for a request's head to arrive.
        max_head_bytes: of a request's line and headers.
        stall_timeout_seconds: without a byte taken by the peer.
    """

    max_connections: int
    head_timeout_seconds: float = 10.0
    max_head_bytes: int = 32 * 1024
    stall_timeout_seconds: float = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's connection within `Bounds`. Made by uvicorn, once for each; `waiting` are those that serve nothing."""

    def __init__(self, bounds: Bounds, waiting: dict[BoundedProtocol, float], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._bounds = bounds
        self._waiting = waiting
        self._application = self.app
        self._in_head = True
        self._began = False
        self._head_bytes = 0
        self._left_bytes = _LINGER_BYTES
        self._ended = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    # -- The connection --

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A peer has connected."""
        super().connection_made(transport)
        while len(self.connections) > self._bounds.max_connections and self._make_room():
            pass
        if len(self.connections) > self._bounds.max_connections + SPARE_CONNECTIONS:
            self._ended = True
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended = True
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._ended:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                self.transport.abort()
            return
        if self._head_timer is None and not self._is_answering():
            self._expect_head()
        self._began = False
        super().data_received(data)
        if self._in_head and not self._ended:
            # Not the piece in which the head began: before it, there may be the end of a body.
            self._head_bytes += 0 if self._began else len(data)
            if self._head_bytes > self._bounds.max_head_bytes:
                self._refuse_head()

    def pause_writing(self) -> None:
        """The peer takes too little of what it is sent."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self._bounds.stall_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has taken enough of it."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    # -- A request --

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head, self._began, self._head_bytes = True, True, 0

    def on_headers_complete(self) -> None:
        """A request's head is there."""
        self._in_head = False
        self._stop_head_timer()
        if self._ended:
            return
        if (
            len(self.url) + sum(len(name) + len(value) + _HEADER_BYTES for name, value in self.headers)
            > self._bounds.max_head_bytes
        ):
            self._refuse_head()
            return
        is_crowded = len(self.connections) > self._bounds.max_connections
        self.app = _crowded(self._application) if is_crowded else self._application
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a request's body."""
        if not self._ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's end."""
        if not self._ended:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer was written."""
        super().on_response_complete()
        if self._ended or self.transport.is_closing() or self._is_answering():
            return
        if self.cycle.more_body:
            self._end()
            return
        self._waiting[self] = self.loop.time()
        if self._in_head and self._head_timer is None:  # a next request has begun meanwhile
            self._unset_keepalive_if_required()
            self._time_head()

    def send_400_response(self, msg: str) -> None:
        """Say that it was no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "bad-request", "this is no HTTP/1.1 request")

    # -- Ends --

    def _refuse_head(self) -> None:
        detail = f"a request's line and headers have at most {self._bounds.max_head_bytes} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too-large", detail)

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        if self._ended:
            return
        if self._is_answering():
            if self.cycle.response_started:  # within an answer there is no other
                self._ended = True
                self.transport.abort()
                return
            # The application waits for the rest of the body: for it, the peer has gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = problem(status, code, detail).encode()
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self._end()

    def _end(self) -> None:
        # Closing with unread bytes would reset the connection, and the peer could lose the answer.
        self._ended = True
        self._stop_timers()
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _make_room(self) -> bool:
        # They stand in the order in which they began to wait.
        longest, since = next(iter(self._waiting.items()), (self, math.inf))
        if since > self.loop.time() - _JUST_CAME_SECONDS:
            return False
        longest._ended = True
        longest._stop_timers()
        longest.transport.abort()
        self.connections.discard(longest)
        return True

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _expect_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._time_head()

    def _time_head(self) -> None:
        self._head_timer = self.loop.call_later(self._bounds.head_timeout_seconds, self.transport.abort)
        self._waiting.setdefault(self, self.loop.time())

    def _stop_head_timer(self) -> None:
        self._waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


def problem(status: HTTPStatus, code: str, detail: str, *, retryable: bool = False) -> Problem:
    """An answer of the server itself, which reaches no application."""
    return Problem(title=status.phrase, status=status.value, detail=detail, code=code, retryable=retryable)


def _crowded(app: ASGIApp) -> ASGIApp:
    """In place of an application when there are too many connections; lets through who asks whether it lives."""
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-connections", "try again shortly", retryable=True)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/livez":
            await app(scope, receive, send)
            return
        headers = {"retry-after": "1", "connection": "close"}
        response = Response(answer.encode(), answer.status, headers, media_type="application/problem+json")
        await response(scope, receive, send)

    return respond


def protocol_within(bounds: Bounds) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes a connection with."""
    waiting: dict[BoundedProtocol, float] = {}

    def make(**arguments: Any) -> BoundedProtocol:
        return BoundedProtocol(bounds, waiting, **arguments)

    return make
