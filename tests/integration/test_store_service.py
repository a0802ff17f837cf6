"""The store service as a process: how it starts, ends, dies, and what it does with bad clients."""

import hashlib
import http.client
import json
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.api.transfer_errors import TransferUnavailable
from consilo.api.transfers import Upload, open_download, open_upload
from consilo.store.errors import StoreUnavailable
from consilo.store.keys import unique_key
from consilo.store.local import LocalObjectStore
from consilo.store.port import SignedRequest
from consilo.store.signing import SigningSecrets
from tests.unit.store.running import DEADLINE_SECONDS, SECRET, RunningStore, running_store, wait_for


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    arguments = ["--max-connections", "8", "--header-timeout-seconds", "0.3", "--max-object-bytes", str(64 << 20)]
    with running_store(tmp_path_factory.mktemp("store"), *arguments) as service:
        yield service


def uploading(store: RunningStore, request: SignedRequest, size_bytes: int) -> Upload:
    return open_upload(request, size_bytes=size_bytes, allowed_hosts={store.host}, timeout_seconds=10)


def put(store: RunningStore, key: str, data: bytes) -> None:
    with uploading(store, store.adapter.sign_put(key, len(data), 60), len(data)) as upload:
        upload.write(memoryview(data))
        upload.finish()


def exchange(store: RunningStore, *pieces: bytes) -> bytes:
    """Sends bytes as they are and returns all that is answered until the service closes."""
    with socket.create_connection(("127.0.0.1", store.port), timeout=DEADLINE_SECONDS) as client:
        for piece in pieces:
            client.sendall(piece)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    answer = b""
    while data := client.recv(65536):
        answer += data
    return answer


def target(request: SignedRequest) -> bytes:
    return ("/" + request.url.split("/", 3)[3]).encode()


def receiving(store: RunningStore) -> int:
    """How many uploads have begun and not ended."""
    return len(list((store.directory / ".incoming").iterdir()))


def get(store: RunningStore, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=DEADLINE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_health_pages_need_no_signature(store: RunningStore) -> None:
    assert get(store, "/livez") == (200, b"ok\n")
    assert get(store, "/readyz") == (200, b"ok\n")
    assert get(store, "/")[0] == 404


def test_a_connection_serves_one_request_after_the_other(store: RunningStore) -> None:
    ask = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = exchange(store, ask[:10], ask[10:] + ask, b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"Connection: close") == 1


def test_a_client_that_waits_for_continue_is_told_to(store: RunningStore) -> None:
    request = store.adapter.sign_put(unique_key("expect"), 7, 60)
    with socket.create_connection(("127.0.0.1", store.port), timeout=DEADLINE_SECONDS) as client:
        head = b"PUT %b HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        client.sendall(head % target(request))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"weights")
        assert read_all(client).startswith(b"HTTP/1.1 201 Created")


def test_a_client_that_waits_for_continue_learns_of_a_refusal_first(store: RunningStore) -> None:
    key = unique_key("expect")
    put(store, key, b"first")
    request = store.adapter.sign_put(key, 10**7, 60)
    head = b"PUT %b HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"
    assert exchange(store, head % target(request)).startswith(b"HTTP/1.1 412 ")


def test_a_problem_says_its_code_but_nothing_of_the_query(store: RunningStore) -> None:
    request = store.adapter.sign_get(unique_key("never"), 60)
    answer = exchange(store, b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % target(request))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["code"] == "object-missing"
    assert b"X-Consilo-Code: object-missing" in head
    assert b"signature" not in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n\r\n",
        b"GET /objects/../../etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /objects/%2e%2e/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"POST /objects/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"PUT /objects/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_a_strange_request_gets_a_problem_and_the_end_of_the_connection(
    store: RunningStore, request_bytes: bytes
) -> None:
    answer = exchange(store, request_bytes)
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.count(b"Content-Type: application/problem+json\r\n") == 1
    assert answer.count(b"Connection: close\r\n") == 1
    assert get(store, "/livez")[0] == 200


def test_a_body_after_a_refusal_is_never_taken_for_a_request(store: RunningStore) -> None:
    smuggled = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
    head = b"PUT /objects/a?unsigned HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    answer = exchange(store, head + smuggled)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_client_that_sends_its_head_slowly_is_cut_off(store: RunningStore) -> None:
    assert exchange(store, b"GET /livez HT") == b""
    assert exchange(store) == b""


def test_an_object_larger_than_the_store_takes_is_refused(store: RunningStore) -> None:
    request = store.adapter.sign_put(unique_key("big"), 65 << 20, 60)
    head = b"PUT %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (target(request), 65 << 20)
    assert exchange(store, head).startswith(b"HTTP/1.1 413 ")


def test_a_crowded_store_still_tells_that_it_is_alive(store: RunningStore) -> None:
    size = 1_000_000
    with_body = [uploading(store, store.adapter.sign_put(unique_key("crowd"), size, 60), size) for _ in range(8)]
    try:
        wait_for(lambda: receiving(store) == 8, "eight uploads to begin")
        assert get(store, "/livez")[0] == 200
        with pytest.raises(StoreUnavailable) as refused:
            store.adapter.head("a")
        assert refused.value.retryable
    finally:
        for upload in with_body:
            upload.abort()
    wait_for(lambda: get(store, "/objects/a")[0] == 403, "the crowd to leave")


def test_the_access_log_names_keys_and_codes_but_shows_no_signature(store: RunningStore) -> None:
    key = unique_key("logged")
    put(store, key, b"weights")
    store.adapter.delete(key)
    # The line is written after the answer.
    wait_for(lambda: store.log().count(key) >= 2, "the access log")
    entries = [json.loads(line) for line in store.log().splitlines() if key in line]
    assert [(entry["method"], entry["status"], entry["bytes"]) for entry in entries] == [
        ("PUT", 201, 7),
        ("DELETE", 204, 0),
    ]
    assert all(entry["seconds"] >= 0 for entry in entries)
    assert "signature" not in store.log()
    assert "?" not in store.log()


def test_the_service_stays_small_while_big_objects_pass(store: RunningStore) -> None:
    data = bytes(60 << 20)
    key = unique_key("big")
    put(store, key, data)
    with open_download(
        store.adapter.sign_get(key, 60), expected_bytes=len(data), allowed_hosts={store.host}, timeout_seconds=10
    ) as download:
        assert download.readinto(memoryview(bytearray(len(data)))) == len(data)
    status = Path(f"/proc/{store.process.pid}/status").read_text()
    peak_kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    assert peak_kilobytes < 80_000


def test_a_client_that_stalls_or_is_too_slow_is_cut_off(tmp_path: Path) -> None:
    with running_store(tmp_path, "--stall-timeout-seconds", "0.2", "--idle-timeout-seconds", "0.2") as store:
        request = store.adapter.sign_put("a", 5_000_000, 60)
        head = b"PUT %b HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n" % target(request)
        assert exchange(store, head, b"some bytes, and then none") == b""
        assert exchange(store, b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").endswith(b"ok\n")
        assert store.adapter.head("a") is None
        wait_for(lambda: store.files() == set(), "the unfinished upload to be removed")


@pytest.mark.parametrize("how", ["file size", "free room"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, how: str) -> None:
    arguments = ["--minimum-free-bytes", str(2**60)] if how == "free room" else []
    with running_store(tmp_path, *arguments) as store:
        if how == "file size":
            resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        with pytest.raises(TransferUnavailable, match="507"):
            put(store, "a", bytes(4_000_000))
        wait_for(lambda: store.files() == set(), "the unfinished upload to be removed")
        assert store.adapter.head("a") is None
        assert get(store, "/livez")[0] == 200
        assert get(store, "/readyz")[0] == (503 if how == "free room" else 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_after_the_transfers_in_flight(tmp_path: Path, number: signal.Signals) -> None:
    with running_store(tmp_path) as store, socket.create_connection(("127.0.0.1", store.port)) as idle:
        half = bytes(3_000_000)
        with uploading(store, store.adapter.sign_put("a", 6_000_000, 60), 6_000_000) as upload:
            upload.write(memoryview(half))
            wait_for(lambda: receiving(store) == 1, "the upload to begin")
            store.process.send_signal(number)
            # The idle connection ends first: then the signal has arrived.
            assert read_all(idle) == b""
            upload.write(memoryview(half))
            assert upload.finish() == hashlib.sha256(bytes(6_000_000)).hexdigest()
        assert store.process.wait(DEADLINE_SECONDS) == 0
        assert (store.directory / "a").stat().st_size == 6_000_000
        with pytest.raises(StoreUnavailable):
            store.adapter.head("a")


def test_the_grace_of_a_shutdown_ends(tmp_path: Path) -> None:
    with running_store(tmp_path, "--shutdown-grace-seconds", "0.1") as store:
        with uploading(store, store.adapter.sign_put("a", 6_000_000, 60), 6_000_000) as upload:
            upload.write(memoryview(bytes(3_000_000)))
            wait_for(lambda: receiving(store) == 1, "the upload to begin")
            assert store.end() == 0
        assert store.files() == set()


def test_a_killed_service_shows_no_half_object_and_starts_again_clean(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        put(store, "whole", b"weights")
        with uploading(store, store.adapter.sign_put("half", 6_000_000, 60), 6_000_000) as upload:
            upload.write(memoryview(bytes(3_000_000)))
            wait_for(lambda: receiving(store) == 1, "the upload to begin")
            store.kill()
            with pytest.raises(TransferUnavailable):
                upload.write(memoryview(bytes(3_000_000)))
        assert not (store.directory / "half").exists()
    with running_store(tmp_path) as again:
        assert again.files() == {"whole"}
        info = again.adapter.head("whole")
        assert info is not None
        assert info.size_bytes == 7
        put(again, "half", bytes(6_000_000))


def test_old_urls_stay_good_while_secrets_are_rotated(tmp_path: Path) -> None:
    new = b"the secret that comes after it, also long"
    with running_store(tmp_path) as store:
        put(store, "a", b"weights")
    secret_file = tmp_path / "rotated"
    secret_file.write_bytes(new + b"\n" + SECRET)
    with running_store(tmp_path, "--secret-file", str(secret_file)) as store:
        assert store.adapter.head("a") is not None
        assert LocalObjectStore(store.url, SigningSecrets([new])).head("a") is not None
