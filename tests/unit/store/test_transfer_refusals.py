"""What a client makes of the refusals of S3 servers, honest and hostile."""

import socket

import pytest

from consilo.api.transfer_errors import (
    ObjectExists,
    ObjectMissing,
    TransferError,
    TransferRefused,
    TransferUnavailable,
    UrlExpired,
)
from consilo.api.transfers import open_download
from consilo.store.local import wall_clock
from consilo.store.port import SignedRequest
from tests.unit.store.hostile import read_head, saying, serving

WORD = "X-Amz-Signature=very-secret-word"


def document(code: str, message: str = "Words.") -> bytes:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


def answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def refused(host: str, timeout_seconds: float = 5) -> TransferError:
    request = SignedRequest("GET", f"http://{host}/bucket/a?{WORD}", {}, wall_clock() + 60_000)
    with pytest.raises(TransferError) as raised:
        open_download(request, expected_bytes=7, allowed_hosts={host}, timeout_seconds=timeout_seconds)
    assert WORD not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("412 Precondition Failed", document("PreconditionFailed"), ObjectExists),
        ("404 Not Found", document("NoSuchKey"), ObjectMissing),
        ("404 Not Found", document("NoSuchBucket"), TransferRefused),
        ("403 Forbidden", document("AccessDenied", "Request has expired"), UrlExpired),
        ("403 Forbidden", document("AccessDenied", "Request has expired."), UrlExpired),
        ("403 Forbidden", document("ExpiredToken", "The provided token has expired."), UrlExpired),
        ("400 Bad Request", document("ExpiredToken"), UrlExpired),
        ("403 Forbidden", document("AccessDenied", "Access Denied"), TransferRefused),
        ("403 Forbidden", document("SignatureDoesNotMatch"), TransferRefused),
        ("403 Forbidden", document("SignatureDoesNotMatch", "has expired"), TransferRefused),
        ("403 Forbidden", document("RequestTimeTooSkewed"), TransferRefused),
        ("400 Bad Request", document("EntityTooLarge"), TransferRefused),
        ("400 Bad Request", document("RequestTimeout"), TransferUnavailable),
        ("409 Conflict", document("ConditionalRequestConflict"), TransferUnavailable),
        ("409 Conflict", document("OperationAborted"), TransferRefused),
        ("503 Slow Down", document("SlowDown"), TransferUnavailable),
        ("301 Moved Permanently", document("PermanentRedirect"), TransferRefused),
        ("500 Internal Server Error", document("AccessDenied", "Request has expired"), TransferUnavailable),
    ],
)
def test_each_refusal_of_an_s3_server_has_its_error(status: str, body: bytes, error: type[TransferError]) -> None:
    with serving(saying(answer(status, body))) as (host, _):
        assert type(refused(host)) is error


def test_the_code_is_shown() -> None:
    with serving(saying(answer("403 Forbidden", document("InvalidAccessKeyId")))) as (host, _):
        assert "403 (InvalidAccessKeyId)" in str(refused(host))


def test_a_document_in_chunks_is_read() -> None:
    body = document("AccessDenied", "Request has expired")
    head = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(saying(head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")) as (host, _):
        assert type(refused(host)) is UrlExpired


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no document",
        b"\xff\xfe\x00",
        document("a" * 65),
        document("a b"),
        document("&expired;"),
        document("line\r\nfeed"),
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Error><Code>&a;</Code></Error>',
        b"<Error>" + b"<a>" * 100_000,
        b" " * 5000 + document("ExpiredToken"),
        b"<Code>" * 20_000,
    ],
    ids=range(11),
)
def test_a_document_that_is_none_has_no_code_and_does_no_harm(body: bytes) -> None:
    with serving(saying(answer("403 Forbidden", body))) as (host, _):
        error = refused(host)
    assert type(error) is TransferRefused
    assert "answered 403: " in str(error)


def test_a_server_that_stalls_in_its_document_holds_nobody() -> None:
    def behave(client: socket.socket) -> None:
        read_head(client)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4000\r\n\r\n<Error><Co")
        while client.recv(65536):  # until the client gives up
            pass

    with serving(behave) as (host, _):
        assert type(refused(host, timeout_seconds=0.2)) is TransferRefused


def test_a_server_that_sends_its_document_byte_by_byte_is_left_after_a_few() -> None:
    sent = []

    def behave(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_head(client)
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4000\r\n\r\n")
        client.settimeout(0.05)
        for _ in range(200):
            client.sendall(b"<")
            sent.append(1)
            try:
                if not client.recv(1):
                    return
            except TimeoutError:
                continue

    with serving(behave) as (host, _):
        assert type(refused(host)) is TransferRefused
    assert len(sent) < 20
