"""What the ledger service reads of a request: strict JSON, within bounds, and not for ever."""

from __future__ import annotations

import gzip
import time
from typing import Any

import pytest

from tests.integration.consortium import Consortium
from tests.integration.rest import BODY_BYTES, BODY_SECONDS, call, connected, exchange, parsed, read_all, signed, token

SILO = "HospitalB/silo"
STOP = {"run": "never", "reason": "x"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{} {}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"run":"a","size_bytes":1,}',
        b'{"run":"a","size_bytes":1.0}',
        b'{"run":"a","size_bytes":1e3}',
        b'{"run":"a","size_bytes":NaN}',
        b'{"run":"a","size_bytes":Infinity}',
        b'{"run":"a","size_bytes":"1"}',
        b'{"run":"a","size_bytes":true}',
        b'{"run":"a","size_bytes":0}',
        b'{"run":"a","size_bytes":-1}',
        b'{"run":"a","size_bytes":9007199254740993}',
        b'{"run":"a","size_bytes":' + b"9" * 5000 + b"}",
        b'{"run":"a","size_bytes":1,"run":"b"}',
        b'{"run":"a","size_bytes":1,"more":1}',
        b'{"run":"a"}',
        b'{"run":"A","size_bytes":1}',
        b'{"run":"a\\u0000","size_bytes":1}',
        b'{"run":"\\ud800","size_bytes":1}',
        '{"run":"а","size_bytes":1}'.encode(),  # a Cyrillic letter
        b'{"run":"../a","size_bytes":1}',
        b"[" * 33 + b"]" * 33,
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b"run=a&size_bytes=1",
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("target", ["/v1/uploads", "/v1/downloads", "/v1/transactions"])
def test_what_is_no_strict_json_of_the_operation_is_refused(impatient: Consortium, target: str, body: bytes) -> None:
    assert call(impatient, "POST", target, body, member=SILO).refusal == (400, "malformed", False)


def test_the_media_type_of_a_body_changes_nothing(impatient: Consortium) -> None:
    body = b'{"run":"a","size_bytes":1}'
    text = f"Consilo {token(impatient, SILO, 'POST', '/v1/uploads', body)}"
    for media in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "\\"):
        headers = {"authorization": text, "content-type": media}
        assert call(impatient, "POST", "/v1/uploads", body, headers=headers).status == 200


def test_a_compressed_body_is_not_unpacked(impatient: Consortium) -> None:
    body = gzip.compress(b"[" + b"0," * 10**6 + b"0]")
    headers = {"content-encoding": "gzip"}
    answer = call(impatient, "POST", "/v1/transactions", body, member=None, headers=headers)
    assert answer.refusal == (400, "malformed", False)


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(impatient: Consortium) -> None:
    head = b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    for size in (BODY_BYTES + 1, 2**40, 10**18):
        assert parsed(exchange(impatient.ledger, head % size)).refusal == (413, "too-large", False)


def test_a_body_that_becomes_too_large_is_not_read_to_its_end(impatient: Consortium) -> None:
    head = b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    before = impatient.ledger.peak_bytes()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0
    with connected(impatient.ledger) as client:
        client.sendall(head)
        try:
            for _ in range(4096):  # 256 MB
                client.sendall(chunk)
                sent += 65536
        except OSError:
            pass
    assert sent < 64 * 2**20, "it read on and on"
    assert impatient.ledger.peak_bytes() - before < 32 * 2**20
    assert call(impatient, "GET", "/v1/head").status == 200


def test_a_client_that_sends_too_much_still_gets_the_answer(impatient: Consortium) -> None:
    body = b"x" * (4 * 2**20)
    head = b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert parsed(exchange(impatient.ledger, head, body)).refusal == (413, "too-large", False)


def test_the_largest_body_is_read(impatient: Consortium) -> None:
    reason: dict[str, Any] = {"run": "never", "reason": "x"}
    room = BODY_BYTES - len(signed(impatient, "HospitalA/operator", "stop_run", reason))
    data = signed(impatient, "HospitalA/operator", "stop_run", {**reason, "more": "y" * (room - len(',"more":""'))})
    assert len(data) == BODY_BYTES
    assert call(impatient, "POST", "/v1/transactions", data, member=None).refusal == (400, "malformed", False)
    assert call(impatient, "POST", "/v1/transactions", data + b" ", member=None).refusal == (413, "too-large", False)


@pytest.mark.parametrize("target", [b"POST /v1/transactions", b"GET /v1/head"])
def test_a_body_that_does_not_arrive_is_not_waited_for(impatient: Consortium, target: bytes) -> None:
    started = time.monotonic()
    answer = exchange(impatient.ledger, target + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
    assert parsed(answer).refusal == (408, "timeout", True)
    assert BODY_SECONDS <= time.monotonic() - started < BODY_SECONDS + 10


def test_a_client_that_goes_away_within_its_body_is_no_defect(impatient: Consortium) -> None:
    with connected(impatient.ledger) as client:
        client.sendall(b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
    assert call(impatient, "GET", "/v1/head").status == 200
    assert not impatient.ledger.events("a request failed by a defect")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
        b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n",
        b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /v1/head HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
        b"GET /v1/ledger\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /v1/le dger HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /v1/ledger HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET /v1/ledger HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=lambda head: repr(head[-50:]),
)
def test_what_is_no_good_http_gets_a_problem_and_the_end(impatient: Consortium, head: bytes) -> None:
    answer = parsed(exchange(impatient.ledger, head))
    assert answer.refusal == (400, "bad-request", False)
    assert call(impatient, "GET", "/v1/ledger", member=None).status == 200


@pytest.mark.parametrize("query", [b"?x=\xff", b"?x=%ff", b"?run=%00", b"?after=%ED%A0%80", b"?limit=%C2%B2"])
def test_bytes_that_are_no_text_in_a_query_are_no_defect(impatient: Consortium, query: bytes) -> None:
    for path in (b"/v1/ledger", b"/v1/blocks", b"/v1/records", b"/v1/events"):
        answer = exchange(
            impatient.ledger, b"GET " + path + query + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        )
        assert answer.split(b" ")[1] in {b"200", b"400", b"401"}, answer
    assert not impatient.ledger.events("a request failed by a defect")


def test_a_request_within_the_bodys_rest_is_never_answered(impatient: Consortium) -> None:
    smuggled = b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\n\r\n"
    head = b"POST /v1/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (len(smuggled) + 80_000)
    answer = exchange(impatient.ledger, head + smuggled, b"x" * 70_000, smuggled)
    assert parsed(answer).refusal == (404, "not-found", False)


def test_one_connection_serves_one_request_after_the_other(impatient: Consortium) -> None:
    ask = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
    with connected(impatient.ledger) as client:
        client.sendall(ask[:7])
        client.sendall(ask[7:] + ask)
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert read_all(client).count(b"HTTP/1.1 200 OK") == 3
