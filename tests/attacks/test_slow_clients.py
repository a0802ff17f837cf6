"""Clients that are slow on purpose: they are cut off, and others are served meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from consilo.api.errors import GatewayUnavailable
from consilo.api.gateway import Gateway
from consilo.api.models import DownloadRequest
from consilo.api.pace import Pace
from consilo.api.settings import ApiSettings
from consilo.api.transfer_errors import TransferUnavailable
from consilo.api.transfers import open_download, open_upload
from consilo.protocol.bodies import GlobalArtifact
from consilo.store.errors import StoreUnavailable
from consilo.store.keys import unique_key
from consilo.store.port import SignedRequest
from tests.attacks.table import ATTACKS, CODES, attacks_of
from tests.integration.consortium import Consortium
from tests.integration.rest import BODY_SECONDS, HEAD_SECONDS, address, call, exchange, parsed, read_all
from tests.simulated_members import identity
from tests.unit.store.hostile import read_head, serving
from tests.unit.store.running import RunningStore, running_store, wait_for

SLOW: Final = 300
"""Connections of an attacker."""
SOON_SECONDS: Final = 5.0
"""How long others may wait, on a machine that does much else."""
STALL_SECONDS: Final = 3.0


@contextmanager
def attacking(where: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    """Slow connections, each with half a head, opened again as soon as they are cut, until the end of the block."""
    ended = threading.Event()
    clients: list[socket.socket] = []

    def attack() -> None:
        while not ended.is_set():
            for number in range(count):
                if number >= len(clients):
                    clients.append(_slow(where))
                try:
                    clients[number].sendall(b"a")
                except OSError:
                    clients[number].close()
                    clients[number] = _slow(where)
            ended.wait(0.05)

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        wait_for(lambda: len(clients) == count, "all slow connections")
        yield clients
    finally:
        ended.set()
        thread.join(30)
        for client in clients:
            client.close()


def _slow(where: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(where, timeout=30)
    with suppress(OSError):
        client.sendall(b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nX: ")
    return client


def seconds_of(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def test_a_slow_body(impatient: Consortium) -> None:
    (attack,) = attacks_of("tests/attacks/test_slow_clients.py::test_a_slow_body")
    head = b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"
    started = time.monotonic()
    answer = parsed(exchange(impatient.ledger, head, b"{"))
    assert answer.refusal[:2] == (attack.status, attack.code)
    assert time.monotonic() - started < BODY_SECONDS + SOON_SECONDS


def test_slow_loris_on_the_ledger(impatient: Consortium) -> None:
    with attacking(address(impatient.ledger), SLOW):
        worst = max(seconds_of(lambda: _served(impatient)) for _ in range(20))
        assert worst < SOON_SECONDS
        print(f"ledger service with {SLOW} slow connections: slowest of 20 answers {worst * 1000:.0f} ms")
    last = _slow(address(impatient.ledger))
    assert seconds_of(lambda: _cut(last)) < HEAD_SECONDS + SOON_SECONDS


def _served(consortium: Consortium) -> None:
    assert call(consortium, "GET", "/v1/head").status == 200


def _cut(client: socket.socket) -> None:
    with client, suppress(ConnectionResetError):
        assert read_all(client) == b""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunningStore]:
    settings = ["--max-connections", "8", "--stall-timeout-seconds", str(STALL_SECONDS), "--no-fsync"]
    with running_store(tmp_path, *settings) as service:
        yield service


def put(store: RunningStore, data: bytes = b"weights") -> str:
    key, size = unique_key("trial"), len(data)
    request = store.adapter.sign_put(key, size, 60)
    with open_upload(request, size_bytes=size, allowed_hosts={store.host}, timeout_seconds=20) as upload:
        upload.write(memoryview(data))
        upload.finish()
    return key


def test_slow_loris_on_the_store(store: RunningStore) -> None:
    where = ("127.0.0.1", store.port)
    with attacking(where, 100):
        # Its patience for a head is 10 s, its room for 8: only that the longest waiting makes room lets others in.
        worst = max(seconds_of(lambda: put_patiently(store)) for _ in range(10))
        assert worst < SOON_SECONDS
        print(f"store of 8 connections with 100 slow ones: slowest of 10 uploads {worst * 1000:.0f} ms")


def put_patiently(store: RunningStore) -> None:
    """An upload as clients make one: tried again when the store says so, or the connection is lost."""
    deadline = time.monotonic() + 20
    while True:
        try:
            put(store)
        except TransferUnavailable:
            assert time.monotonic() < deadline, "nobody else is served"
        else:
            return


def all_taken(store: RunningStore) -> bool:
    try:
        store.adapter.head("nothing")
    except StoreUnavailable:
        return True
    return False


def test_slow_uploads(store: RunningStore) -> None:
    size = 10_000_000
    with ExitStack() as stack:
        for _ in range(8):
            request = store.adapter.sign_put(unique_key("slow"), size, 60)
            upload = open_upload(request, size_bytes=size, allowed_hosts={store.host}, timeout_seconds=20)
            stack.enter_context(upload).write(memoryview(b"a"))
        wait_for(lambda: all_taken(store), "all connections to be taken")
        seconds = seconds_of(lambda: wait_for(lambda: not all_taken(store), "the slow ones to be cut off"))
        assert seconds < STALL_SECONDS + SOON_SECONDS
        put_patiently(store)
    wait_for(lambda: not any("slow" in name for name in store.files()), "what they left to be removed")


def test_slow_downloads(store: RunningStore) -> None:
    data = bytes(32 * 2**20)
    key = put(store, data)
    with ExitStack() as stack:
        for _ in range(8):
            download = open_download(
                store.adapter.sign_get(key, 60),
                expected_bytes=len(data),
                allowed_hosts={store.host},
                timeout_seconds=20,
            )
            stack.enter_context(download)
        wait_for(lambda: all_taken(store), "all connections to be taken")
        seconds = seconds_of(lambda: wait_for(lambda: not all_taken(store), "the slow ones to be cut off"))
        assert seconds < STALL_SECONDS + SOON_SECONDS
        put_patiently(store)


def dripping(head: bytes) -> Callable[[socket.socket], None]:
    """Answers with a head, and then a byte now and then for as long as the client listens."""

    def behave(client: socket.socket) -> None:
        read_head(client)
        client.sendall(head)
        pause = threading.Event()
        while not pause.wait(0.05):
            client.sendall(b"a")

    return behave


def test_a_dripping_store() -> None:
    with serving(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")) as (host, _):
        download = open_download(
            SignedRequest("GET", f"http://{host}/objects/a", {}, 2**50),
            expected_bytes=1_000_000,
            allowed_hosts={host},
            timeout_seconds=20,
            pace=Pace(minimum_bytes_per_second=1000, grace_seconds=0.5),
        )
        started = time.monotonic()
        with download, pytest.raises(TransferUnavailable, match="slower than it may be") as refused:
            download.readinto(memoryview(bytearray(1_000_000)))
        assert refused.value.code == CODES["a store that drips bytes to us"]
        assert time.monotonic() - started < SOON_SECONDS


async def test_a_dripping_gateway() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    settings = ApiSettings(request_timeout_seconds=0.5)
    with serving(dripping(head)) as (host, _):
        async with Gateway.http_client(settings) as http:
            who = identity("HospitalA/silo")
            gateway = Gateway(f"http://{host}", audience="HospitalB", identity=who, http=http, settings=settings)
            model = GlobalArtifact(kind="global", round=1, attempt=1, sha256="0" * 64)
            started = time.monotonic()
            with pytest.raises(GatewayUnavailable) as refused:
                await gateway.download(DownloadRequest(run="trial", artifact=model))
            assert refused.value.code == CODES["a gateway that drips bytes to us"]
            assert time.monotonic() - started < SOON_SECONDS


def test_every_row_of_this_file_is_a_test_here() -> None:
    named = {attack.test.partition("::")[2] for attack in ATTACKS if attack.test.startswith("tests/attacks/test_slow")}
    assert named <= set(globals())
