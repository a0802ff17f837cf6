"""Serving an ASGI application with uvicorn until a signal ends it. Listens on a socket."""

from __future__ import annotations

import dataclasses
import signal
import socket
from collections.abc import Callable
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from consilo.hosting.connections import SPARE_CONNECTIONS, Bounds, protocol_within
from consilo.hosting.descriptors import make_room_for
from consilo.hosting.start import CannotStart, announce


class _Server(uvicorn.Server):
    """Announces the address once the application is up and the socket listens, and says when the end has begun."""

    def __init__(self, config: uvicorn.Config, url: str, port: int, on_end: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._facts: dict[str, str | int] = {"url": url, "port": port}
        self._on_end = on_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            announce(**self._facts)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._on_end is not None:
            self._on_end()
        await super().shutdown(sockets)


def serve_web(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    shutdown_grace_seconds: int,
    bounds: Bounds,
    on_end: Callable[[], None] | None = None,
    loop: Literal["auto", "asyncio"] = "auto",
) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight get `shutdown_grace_seconds` to finish.

    Args:
        app: the application.
        host: address to listen on.
        port: port; 0 takes a free one.
        shutdown_grace_seconds: for requests in flight.
        bounds: of every connection.
        on_end: called, in the event loop, when a signal came: to end what would go on for ever.
        loop: `auto`: uvloop; `asyncio` for a service that is a client of gateways too. On uvloop, a pooled connection
            of httpx that breaks may fail every later request with an AttributeError (anyio finds no socket).

    Raises:
        CannotStart: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from None
    bound = listener.getsockname()[1]
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    room = make_room_for(bounds.max_connections + SPARE_CONNECTIONS)
    most = max(1, room - SPARE_CONNECTIONS)
    config = uvicorn.Config(
        app,
        http=protocol_within(dataclasses.replace(bounds, max_connections=most)),  # type: ignore[arg-type]
        loop=loop,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=shutdown_grace_seconds,
        timeout_keep_alive=30,
    )
    # uvicorn raises the signal that ended it once more; an end that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with listener:
        _Server(config, f"http://{shown}:{bound}", bound, on_end).run(sockets=[listener])
