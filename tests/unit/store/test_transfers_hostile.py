import hashlib
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest

from consilo.api.transfer_errors import (
    DigestMismatch,
    HostNotAllowed,
    ObjectExists,
    ObjectMissing,
    SizeMismatch,
    TransferError,
    TransferRefused,
    TransferUnavailable,
    UrlExpired,
)
from consilo.api.transfers import open_download, upload_file
from consilo.store.local import wall_clock
from consilo.store.port import SignedRequest
from tests.unit.store.hostile import read_head, saying, self_signed, serving

WORD = "signature=very-secret-word"
FAR = 2**50


def signed(method: str, host: str, expires_at: int = FAR, scheme: str = "http") -> SignedRequest:
    return SignedRequest(method, f"{scheme}://{host}/objects/a?{WORD}", {}, expires_at)


def fetch(
    host: str, expected_bytes: int = 7, expires_at: int = FAR, total_timeout_seconds: float | None = None
) -> bytes:
    buffer = bytearray(expected_bytes)
    request = signed("GET", host, expires_at)
    with open_download(
        request,
        expected_bytes=expected_bytes,
        allowed_hosts={host},
        timeout_seconds=5,
        total_timeout_seconds=total_timeout_seconds,
    ) as download:
        download.readinto(memoryview(buffer))
    return bytes(buffer)


def test_a_store_that_received_other_bytes_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"weights")

    def behave(client: socket.socket) -> None:
        read_head(client)
        client.recv(7)
        client.sendall(b"HTTP/1.1 201 Created\r\nX-Consilo-SHA256: " + b"0" * 64 + b"\r\nContent-Length: 0\r\n\r\n")

    with serving(behave) as (host, _), pytest.raises(DigestMismatch):
        upload_file(signed("PUT", host), tmp_path / "source", allowed_hosts={host}, timeout_seconds=5)


@pytest.mark.parametrize(
    "allowed", [[], ["127.0.0.1"], ["127.0.0.1:1"], ["localhost:{port}"], ["27.0.0.1:{port}"], [""]]
)
def test_a_host_that_is_not_allowed_is_not_even_connected_to(allowed: list[str]) -> None:
    with serving(saying(b"")) as (host, accepted):
        hosts = [text.format(port=host.rpartition(":")[2]) for text in allowed]
        with pytest.raises(HostNotAllowed) as refused:
            open_download(signed("GET", host), expected_bytes=7, allowed_hosts=hosts, timeout_seconds=5)
        assert accepted == []
        assert WORD not in str(refused.value)


def test_a_host_without_a_port_means_the_schemes_own_port() -> None:
    # Allowed, so what fails is the connection, not the check: 127.0.0.2 is this machine, with nothing on port 80.
    for host, allowed in (("127.0.0.2", "127.0.0.2"), ("127.0.0.2:80", "127.0.0.2"), ("127.0.0.2", "127.0.0.2:80")):
        with pytest.raises(TransferUnavailable):
            open_download(signed("GET", host), expected_bytes=7, allowed_hosts={allowed}, timeout_seconds=5)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http:///a",
        "http://user@h:1/a",
        "http://h:1/a b",
        "http://h:1/a\r\nX: y",
        "http://h:x/",
        "h:1/a",
    ],
)
def test_a_url_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(TransferError) as refused:
        open_download(
            SignedRequest("GET", f"{url}?{WORD}", {}, FAR),
            expected_bytes=7,
            allowed_hosts={"h:1", ""},
            timeout_seconds=5,
        )
    assert not refused.value.retryable
    assert WORD not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 7", TransferRefused),
        (b"404 Not Found\r\nContent-Length: 0", ObjectMissing),
        (b"412 Precondition Failed\r\nContent-Length: 0", ObjectExists),
        (b"403 Forbidden\r\nX-Consilo-Code: url-expired\r\nContent-Length: 0", UrlExpired),
        (b"403 Forbidden\r\nContent-Length: 0", TransferRefused),
        (b"503 Service Unavailable\r\nContent-Length: 0", TransferUnavailable),
        (b"507 Insufficient Storage\r\nContent-Length: 0", TransferUnavailable),
        (b"200 OK\r\nContent-Length: 8\r\n\r\nweights!", SizeMismatch),
        (b"200 OK\r\nContent-Length: 6\r\n\r\nweight", SizeMismatch),
        (b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nweights\r\n0\r\n\r\n", TransferRefused),
        (b"200 OK\r\n\r\nweights", TransferRefused),
        (b"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nweights", TransferRefused),
        (b"206 Partial Content\r\nContent-Length: 7\r\n\r\nweights", TransferRefused),
        (b"200 OK\r\nContent-Length: 7\r\n\r\nweig", TransferUnavailable),
        (b"200 OK\r\n" + b"X: y\r\n" * 200, TransferUnavailable),
        (b"", TransferUnavailable),
    ],
)
def test_each_bad_answer_has_its_error(answer: bytes, error: type[TransferError]) -> None:
    whole = b"HTTP/1.1 " + answer + (b"" if b"\r\n\r\n" in answer else b"\r\n\r\n")
    with serving(saying(whole if answer else b"")) as (host, accepted), pytest.raises(error) as refused:
        fetch(host)
    assert type(refused.value) is error
    assert WORD not in str(refused.value)
    assert refused.value.__cause__ is None
    assert accepted == [0]


def test_a_refusal_after_the_expiry_is_url_expired_also_without_a_code() -> None:
    with (
        serving(saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as (host, _),
        pytest.raises(UrlExpired),
    ):
        fetch(host, expires_at=wall_clock() - 1)


def test_a_store_that_is_not_there_is_unavailable_and_may_be_tried_again() -> None:
    with serving(saying(b"")) as (host, _):
        pass
    with pytest.raises(TransferUnavailable) as failed:
        fetch(host)
    assert failed.value.retryable


def test_a_store_that_drips_bytes_is_given_up_after_the_total_time() -> None:
    over = threading.Event()

    def drip(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not over.wait(0.01):
            client.sendall(b"x")

    with serving(drip) as (host, _):
        with pytest.raises(TransferUnavailable, match=r"longer than 0\.2 s"):
            fetch(host, expected_bytes=1_000_000, total_timeout_seconds=0.2)
        over.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "certificate.pem")


def test_https_is_spoken_to_a_server_whose_roots_are_given(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    received = hashlib.sha256()
    data = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(data)

    def behave(client: socket.socket) -> None:
        left = 0 if read_head(client).startswith(b"GET") else len(data)
        while left:
            block = client.recv(65536)
            received.update(block)
            left -= len(block)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nweights")

    with serving(behave, context) as (host, _):
        digest = upload_file(
            signed("PUT", host, scheme="https"),
            tmp_path / "source",
            allowed_hosts={host},
            timeout_seconds=5,
            ca_file=certificate,
        )
        assert digest == received.hexdigest() == hashlib.sha256(data).hexdigest()
        buffer = bytearray(7)
        with open_download(
            signed("GET", host, scheme="https"),
            expected_bytes=7,
            allowed_hosts={host},
            timeout_seconds=5,
            ca_file=certificate,
        ) as download:
            assert download.readinto(memoryview(buffer)) == 7
        assert buffer == b"weights"
        with pytest.raises(TransferRefused, match="certificate"):
            open_download(
                signed("GET", host, scheme="https"), expected_bytes=7, allowed_hosts={host}, timeout_seconds=5
            )
