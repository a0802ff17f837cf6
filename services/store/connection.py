"""One connection of a client: reads requests, moves bodies, writes answers and the access log. Does network I/O.

Runs in a thread of its own. What is asked is decided in `handlers.py`; here is only how it is said.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from consilo.store.errors import StoreError
from consilo.store.signing import OBJECTS_PATH
from services.store.bodies import ClientGone, Pace, receive_body, send_file, wait_for
from services.store.incoming import IncomingObject
from services.store.wire import MAX_HEAD_BYTES, Problem, RequestHead, parse_head, problem_response, response_head

_READ_BYTES = 16 * 1024
_LINGER_BYTES = 16 * 1024 * 1024
_LINGER_SECONDS = 2.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a connection waits for its client.

    Attributes:
        idle_timeout_seconds: For the first byte of a further request.
        header_timeout_seconds: For the first byte of the first request, and from the first byte of any request to the
            end of its head.
        pace: That bodies must keep up.
    """

    idle_timeout_seconds: float
    header_timeout_seconds: float
    pace: Pace


class Connection:
    """A client's connection: serves one request after the other until either side has had enough."""

    def __init__(
        self,
        client: socket.socket,
        handle: Callable[[RequestHead, "Connection"], None],
        waits: Waits,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """Takes an accepted socket, which `serve` closes.

        Args:
            client: The socket.
            handle: Answers one request by this connection's `receive`, `answer` and `answer_file`, or raises `Problem`
                or `StoreError`.
            waits: How long to wait for the client.
            log: Of accesses.
        """
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._handle = handle
        self._waits = waits
        self._log = log
        self._buffer = bytearray()
        self._state = threading.Lock()
        self._idle = True
        self._ending = False
        self._has_asked = False
        self._waiting_since: float | None = time.monotonic()
        # Of the request being served:
        self._keep_alive = False
        self._body_left = 0
        self._status: int | None = None
        self._moved_bytes = 0

    def serve(self) -> None:
        """Serves requests until the connection ends, then closes it. Raises nothing that a client can cause."""
        try:
            while self._serve_one():
                pass
        except ClientGone:
            pass
        finally:
            with self._state:
                self._ending = True
                self._client.close()

    @property
    def waiting_since(self) -> float | None:
        """When it began to wait for a request's head, on the monotonic clock; None while it serves one."""
        return self._waiting_since

    def end_when_idle(self) -> None:
        """Asks the connection to end after the request that is being served. From any thread."""
        with self._state:
            if self._idle and not self._ending:
                self._shutdown(socket.SHUT_RD)
            self._ending = True

    def cut(self) -> None:
        """Cuts the connection off, whatever it does. From any thread."""
        with self._state:
            if self._client.fileno() >= 0:
                self._shutdown(socket.SHUT_RDWR)

    def receive(self, head: RequestHead, incoming: IncomingObject) -> None:
        """Receives the request's body, all of it, into a file.

        Raises:
            ClientGone: The body did not come.
            OSError: It could not be written.
        """
        if head.expects_continue and not self._buffer:
            self._send(_CONTINUE)
        start = bytes(self._buffer[: incoming.size_bytes])
        del self._buffer[: incoming.size_bytes]
        receive_body(self._client, start, incoming.descriptor, incoming.size_bytes, self._waits.pace, incoming.reached)
        self._body_left = 0
        self._moved_bytes = incoming.size_bytes

    def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answers with a short body or none; the caller gives `Content-Length`."""
        self._status = status
        self._send(response_head(status, headers, keep_alive=self._keep_alive) + body)

    def answer_file(self, headers: Mapping[str, str], descriptor: int, size_bytes: int) -> None:
        """Answers 200 with a file's first `size_bytes` bytes."""
        self.answer(200, {**headers, "Content-Length": str(size_bytes)})
        self._moved_bytes = send_file(self._client, descriptor, size_bytes, self._waits.pace)

    def _serve_one(self) -> bool:
        with self._state:
            if self._ending:
                return False
            self._idle = True
            self._waiting_since = time.monotonic()
        # A connection that never asked for anything gets less patience than one that did.
        patience = self._waits.idle_timeout_seconds if self._has_asked else self._waits.header_timeout_seconds
        if not self._buffer and not self._read(patience):
            return False
        self._has_asked = True
        with self._state:
            self._idle = False
        started = time.monotonic()
        self._keep_alive, self._body_left, self._status, self._moved_bytes = False, 0, None, 0
        head: RequestHead | None = None
        code: str | None = None
        try:
            head = parse_head(self._read_head())
            self._waiting_since = None
            self._keep_alive = head.keep_alive and not self._ending
            self._body_left = head.content_length or 0
            self._handle(head, self)
        except Problem as problem:
            code = problem.code
            self._tell(problem, head)
        except StoreError as error:
            code = error.code
            self._tell(Problem.of(error), head)
        except ClientGone:
            code, self._keep_alive = "client-gone", False
        except Exception as error:
            code = "store-error"
            self._log.error("request failed", error=type(error).__name__, errno=getattr(error, "errno", None))
            self._tell(Problem(500, code, "the store failed; its log says why"), head)
        finally:
            self._log_request(head, code, time.monotonic() - started)
        return self._keep_alive

    def _tell(self, problem: Problem, head: RequestHead | None) -> None:
        if self._status is not None:  # an answer is under way: all that is left is to cut it short
            self._keep_alive = False
            return
        self._keep_alive = self._keep_alive and self._body_left == 0
        self._status = problem.status
        with contextlib.suppress(ClientGone):
            with_body = head is None or head.method != "HEAD"
            self._send(problem_response(problem, keep_alive=self._keep_alive, with_body=with_body))
            if not self._keep_alive:
                self._linger()

    def _linger(self) -> None:
        # Closing with unread bytes would reset the connection, and the client could lose the answer.
        self._shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER_SECONDS
        read = 0
        while read < _LINGER_BYTES:
            self._buffer.clear()
            if not self._read(deadline - time.monotonic()):
                return
            read += len(self._buffer)

    def _read_head(self) -> bytes:
        deadline = time.monotonic() + self._waits.header_timeout_seconds
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                break
            if not self._read(deadline - time.monotonic()):
                raise ClientGone("the client closed the connection within a request's head")
        if not 0 <= end <= MAX_HEAD_BYTES:
            raise Problem(431, "bad-request", f"a request's head has at most {MAX_HEAD_BYTES} bytes")
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _read(self, timeout_seconds: float) -> bool:
        # Appends what comes to the buffer; False at the end of the stream.
        wait_for(self._client, select.POLLIN, timeout_seconds)
        try:
            data = self._client.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        except (ConnectionError, TimeoutError):
            raise ClientGone("the client closed the connection") from None
        self._buffer += data
        return bool(data)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._client.send(view) :]
            except BlockingIOError:
                wait_for(self._client, select.POLLOUT, self._waits.pace.stall_timeout_seconds)
            except (ConnectionError, TimeoutError):
                raise ClientGone("the client closed the connection") from None

    def _shutdown(self, how: int) -> None:
        with contextlib.suppress(OSError):  # not connected any more
            self._client.shutdown(how)

    def _log_request(self, head: RequestHead | None, code: str | None, seconds: float) -> None:
        # Never the query: it holds the signature.
        is_health = head is not None and not head.path.startswith(OBJECTS_PATH) and code is None
        (self._log.debug if is_health else self._log.info)(
            "request",
            method=None if head is None else head.method,
            key=None if head is None else head.path.removeprefix(OBJECTS_PATH)[:512],
            status=self._status,
            code=code,
            bytes=self._moved_bytes,
            seconds=round(seconds, 6),
        )
