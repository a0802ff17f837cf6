"""Event streams by the thousand: they cost little, each gets what happens, and others are served meanwhile."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from consilo.identity.tokens import authorization
from tests.integration.consortium import Consortium, Service, running_consortium
from tests.integration.rest import AUDITOR, address, call, token
from tests.integration.test_ledger_service_events import publish

STREAMS: Final = 1000
MOST_BYTES: Final = 100 * 1024 * 1024
"""Memory that they may cost, in all."""
SOON_SECONDS: Final = 10.0


@pytest.fixture(scope="module")
def room() -> Iterator[None]:
    """Descriptors for a thousand connections, in this process; the service makes room for itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < STREAMS + 200:
        pytest.skip(f"the limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, STREAMS + 200), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory, room: None) -> Iterator[Consortium]:
    """A consortium whose ledger service was started with a low limit of open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with running_consortium(tmp_path_factory.mktemp("cramped")) as running:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident_bytes(service: Service) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def opened(consortium: Consortium) -> socket.socket:
    """A stream of which nothing was read yet."""
    client = socket.create_connection(address(consortium.ledger), timeout=30)
    words = authorization(token(consortium, AUDITOR, "GET", "/v1/events"))
    client.sendall(f"GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: {words}\r\n\r\n".encode())
    return client


def read_until(client: socket.socket, word: bytes) -> bytes:
    data = b""
    while word not in data:
        piece = client.recv(65536)
        assert piece, "the stream ended"
        data += piece
    return data


async def test_a_thousand_idle_event_streams_do_not_keep_others_out(cramped: Consortium) -> None:
    call(cramped, "GET", "/v1/head")
    before = resident_bytes(cramped.ledger)
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(cramped)) for _ in range(STREAMS)]
        for stream in streams:
            read_until(stream, b"event: ready")
        cost = resident_bytes(cramped.ledger) - before
        assert cost < MOST_BYTES

        started = time.monotonic()
        assert call(cramped, "GET", "/v1/head").status == 200
        answered = time.monotonic() - started
        assert answered < SOON_SECONDS

        started = time.monotonic()
        transaction = (await publish(cramped)).encode()
        committed = time.monotonic() - started
        assert committed < SOON_SECONDS
        for stream in streams:
            assert transaction in read_until(stream, transaction)
        told = time.monotonic() - started
        assert told < 2 * SOON_SECONDS
        print(
            f"{STREAMS} idle event streams: {cost / 2**20:.1f} MB ({cost / STREAMS / 1024:.1f} kB each); "
            f"another request {answered * 1000:.0f} ms; a transaction {committed * 1000:.0f} ms, "
            f"known to all after {told * 1000:.0f} ms; peak {cramped.ledger.peak_bytes() / 2**20:.0f} MB"
        )

        started = time.monotonic()
        assert cramped.ledger.end() == 0
        assert time.monotonic() - started < SOON_SECONDS
