"""Accepts connections, a thread for each, and ends in order. Does network I/O.

Beyond `max_connections` a few more connections are accepted, which can only ask for the service's health: an
orchestrator must not take a busy store for a dead one. Beyond those, connections are closed at once. A connection that
only waits keeps nobody out: when all are in use, those that have waited longest for a request's head make room.
"""

import contextlib
import math
import select
import socket
import threading
import time
from collections.abc import Callable

import structlog

from consilo.store.local import wall_clock
from consilo.store.signing import SigningSecrets
from services.store.bodies import Pace
from services.store.connection import Connection, Waits
from services.store.handlers import Handlers
from services.store.objects import ObjectDirectory
from services.store.settings import StoreSettings

_BACKLOG = 256
_CROWD = 16
_CUT_SECONDS = 5.0
_JUST_CAME_SECONDS = 0.1  # that a connection has at least for its request to arrive, before it makes room
_ACCEPT_PAUSE_SECONDS = 0.1


class StoreServer:
    """Serves one directory of objects. `run` blocks until `stop`, which any thread or signal handler may call."""

    def __init__(
        self,
        settings: StoreSettings,
        objects: ObjectDirectory,
        secrets: SigningSecrets,
        log: structlog.typing.FilteringBoundLogger,
        *,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        """Starts to listen; connections wait until `run`.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._settings = settings
        self._log = log
        self._handlers = Handlers(objects, secrets, max_object_bytes=settings.max_object_bytes, clock=clock)
        self._waits = Waits(
            settings.idle_timeout_seconds,
            settings.header_timeout_seconds,
            Pace(settings.stall_timeout_seconds, settings.minimum_bytes_per_second),
        )
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._leaving: set[Connection] = set()
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._stop_writer.setblocking(False)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
        self._listener.setblocking(False)

    @property
    def port(self) -> int:
        """That the service listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Of the service, as its own machine reaches it."""
        host = self._settings.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def stop(self) -> None:
        """Makes `run` return once transfers in flight have ended or the grace is over."""
        with contextlib.suppress(OSError):  # stopped already
            self._stop_writer.send(b"x")

    def run(self) -> None:
        """Serves until `stop`."""
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(self._stop_reader, select.POLLIN)
        try:
            while self._stop_reader.fileno() not in (ready := [descriptor for descriptor, _ in poller.poll()]):
                if ready:
                    self._accept()
        finally:
            self._listener.close()
            self._end_connections()
            self._stop_reader.close()
            self._stop_writer.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # out of descriptors, or the client has gone
            self._log.warning("cannot accept a connection", errno=error.errno)
            select.select([self._stop_reader], [], [], _ACCEPT_PAUSE_SECONDS)
            return
        most = self._settings.max_connections
        with self._lock:
            everyone = len(self._connections)
            count = everyone - len(self._leaving)
            while count >= most and self._make_room():
                count -= 1
        if count >= most + _CROWD or everyone >= 2 * (most + _CROWD):
            client.close()
            return
        crowded = count >= most
        handle = self._handlers.handle_when_crowded if crowded else self._handlers.handle
        connection = Connection(client, handle, self._waits, self._log)
        thread = threading.Thread(target=self._serve, args=(connection,), name="connection", daemon=True)
        with self._lock:
            self._connections[connection] = thread
        thread.start()

    def _make_room(self) -> bool:
        # Cuts the connection that has waited longest for a head, if one waits; its thread ends by itself.
        waiting = [
            (since, connection)
            for connection in self._connections
            if (since := connection.waiting_since) is not None and connection not in self._leaving
        ]
        since, longest = min(waiting, key=lambda each: each[0], default=(math.inf, None))
        if longest is None or since > time.monotonic() - _JUST_CAME_SECONDS:
            return False
        self._leaving.add(longest)
        longest.cut()
        return True

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                del self._connections[connection]
                self._leaving.discard(connection)

    def _end_connections(self) -> None:
        for connection in self._open_connections():
            connection.end_when_idle()
        self._join(self._settings.shutdown_grace_seconds)
        left = self._open_connections()
        for connection in left:
            connection.cut()
        if left:
            self._log.warning("transfers cut at shutdown", count=len(left))
            self._join(_CUT_SECONDS)

    def _open_connections(self) -> dict[Connection, threading.Thread]:
        with self._lock:
            return dict(self._connections)

    def _join(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        for thread in self._open_connections().values():
            thread.join(max(0.0, deadline - time.monotonic()))
