"""A served application: where it listens, and what one peer may not do to the others."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from consilo.hosting.connections import SPARE_CONNECTIONS, Bounds, protocol_within
from consilo.hosting.start import CannotStart
from consilo.hosting.web import serve_web
from tests.integration.rest import Answer, parsed, read_all
from tests.unit.store.running import wait_for

ASK = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
HALF = b"POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nx"
BOUNDS = Bounds(max_connections=4, head_timeout_seconds=0.3, max_head_bytes=4096, stall_timeout_seconds=0.3)
BIG = 64 * 2**20


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers `ok`; at /big with 64 MB; at /late when the body has come."""
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/late":
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
    body = bytes(BIG) if scope["path"] == "/big" else b"ok\n"
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(bounds: Bounds, server: list[uvicorn.Server] | None = None) -> Iterator[int]:
    """The application on a port of its own, in a thread; the server is put into the list."""
    config = uvicorn.Config(application, http=protocol_within(bounds), ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
    running = uvicorn.Server(config)
    if server is not None:
        server.append(running)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listener])))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            running.should_exit = running.force_exit = True
            thread.join(10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(BOUNDS) as found:
        yield found


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def exchange(port: int, *pieces: bytes) -> bytes:
    with connected(port) as client:
        for piece in pieces:
            client.sendall(piece)
        return read_all(client)


def answer(port: int, *pieces: bytes) -> Answer:
    return parsed(exchange(port, *pieces))


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nHost: h\r\n", b"\r\n\r\n\r\n", ASK + b"GET / HT"])
def test_a_head_that_does_not_arrive_is_not_waited_for(port: int, start: bytes) -> None:
    started = time.monotonic()
    found = exchange(port, start)
    assert found.count(b"HTTP/1.1 200") == start.count(ASK)
    assert time.monotonic() - started < 5


def test_a_head_that_trickles_in_is_not_waited_for(port: int) -> None:
    with connected(port) as client:
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012 - the kernel takes what was sent before it knows
            while time.monotonic() - started < 10:
                client.sendall(b"a")
                client.settimeout(0.05)
                try:
                    if client.recv(1) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    continue
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X%d: a\r\n" % number for number in range(2000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 10**6,
        ASK + b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 10**6,
    ],
    ids=["long header", "long target", "many headers", "endless header", "endless second header"],
)
def test_a_head_that_is_too_large_is_refused_and_not_kept(port: int, head: bytes) -> None:
    found = exchange(port, head)
    assert b"HTTP/1.1 431 Request Header Fields Too Large\r\n" in found
    assert json.loads(found[found.rindex(b"{") :])["code"] == "too-large"


def test_a_large_body_is_no_large_head(port: int) -> None:
    body = b"x" * 300_000
    head = b"POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n"
    found = exchange(port, head + body, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert found.count(b"HTTP/1.1 200") == 2


def test_what_is_no_http_within_a_body_ends_the_request(port: int) -> None:
    found = answer(port, b"POST /late HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n")
    assert found.refusal == (400, "bad-request", False)


def test_an_answer_before_the_end_of_the_body_arrives_and_ends_the_connection(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n"
    assert answer(port, head, b"x" * 7_000_000).status == 200


def test_a_body_nobody_reads_is_not_thrown_away_for_ever(port: int) -> None:
    with connected(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        with pytest.raises(OSError):  # noqa: PT012 - which of them fails is the kernel's choice
            for _ in range(1000):
                client.sendall(bytes(1_000_000))


def test_a_peer_that_reads_nothing_is_cut_off() -> None:
    servers: list[uvicorn.Server] = []
    with serving(BOUNDS, servers) as port, connected(port) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        wait_for(lambda: not servers[0].server_state.connections, "the peer to be cut off")
        assert len(read_all(client)) < BIG


def test_more_connections_than_the_most_are_told_to_come_again_but_may_ask_whether_it_lives() -> None:
    servers: list[uvicorn.Server] = []

    def are_busy(count: int) -> None:
        wait_for(lambda: len(servers[0].server_state.tasks) == count, f"{count} requests to be served")

    with serving(Bounds(max_connections=4), servers) as port, ExitStack() as stack:
        busy = [stack.enter_context(connected(port)) for _ in range(4)]
        for client in busy:
            client.sendall(HALF)
        are_busy(4)
        found = answer(port, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert found.refusal == (503, "too-many-connections", True)
        assert found.headers["retry-after"] == "1"
        assert answer(port, LIVE).status == 200
        late = [stack.enter_context(connected(port)) for _ in range(2 * SPARE_CONNECTIONS)]
        assert b"" in {read_all(client) for client in late[-2:]}, "more than these are closed"
        busy[0].sendall(b"yz")
        assert busy[0].recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("start", [b"", b"GET / HT", ASK], ids=["new", "within its head", "idle"])
def test_connections_that_only_wait_keep_nobody_out(start: bytes) -> None:
    with serving(Bounds(max_connections=4)) as port, ExitStack() as stack:
        waiting = [stack.enter_context(connected(port)) for _ in range(4 * (4 + SPARE_CONNECTIONS))]
        for client in waiting:
            with suppress(OSError):  # cut already
                client.sendall(start)
        ask = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

        def is_served() -> bool:
            with suppress(ConnectionResetError):
                return exchange(port, ask).startswith(b"HTTP/1.1 200 OK")
            return False

        wait_for(is_served, "those that wait to make room")


def test_an_address_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            serve_web(application, host="127.0.0.1", port=port, shutdown_grace_seconds=0, bounds=BOUNDS)
