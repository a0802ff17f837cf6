"""Serving an ASGI application with uvicorn until a signal ends it. Listens on a socket."""

from __future__ import annotations

import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from consilo.hosting.start import CannotStart, announce


class _Server(uvicorn.Server):
    """Announces the address once the application is up and the socket listens."""

    def __init__(self, config: uvicorn.Config, url: str, port: int) -> None:
        super().__init__(config)
        self._facts: dict[str, str | int] = {"url": url, "port": port}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            announce(**self._facts)


def serve_web(app: ASGIApp, *, host: str, port: int, shutdown_grace_seconds: int, max_connections: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight get `shutdown_grace_seconds` to finish.

    Args:
        app: the application.
        host: address to listen on.
        port: port; 0 takes a free one.
        shutdown_grace_seconds: for requests in flight.
        max_connections: more at once are answered 503.

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
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=shutdown_grace_seconds,
        limit_concurrency=max_connections,
        timeout_keep_alive=30,
    )
    # uvicorn raises the signal that ended it once more; an end that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with listener:
        _Server(config, f"http://{shown}:{bound}", bound).run(sockets=[listener])
