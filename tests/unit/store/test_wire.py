import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.store.errors import ObjectExists, StoreError
from services.store.wire import Problem, parse_head, problem_response, response_head

GOOD = b"PUT /objects/a?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nExpect: 100-Continue"


def test_a_request_head_is_read() -> None:
    head = parse_head(GOOD)
    assert (head.method, head.target, head.path) == ("PUT", "/objects/a?q=1", "/objects/a")
    assert (head.content_length, head.expects_continue, head.keep_alive) == (7, True, True)


def test_a_client_can_ask_to_close() -> None:
    assert not parse_head(b"GET / HTTP/1.1\r\nhost:h\r\nconnection: Close").keep_alive


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.0\r\nHost: h",
        b"GET  / HTTP/1.1\r\nHost: h",
        b"get / HTTP/1.1\r\nHost: h",
        b"GET http://h/ HTTP/1.1\r\nHost: h",
        b"GET /\x00 HTTP/1.1\r\nHost: h",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h",
        b"GET / HTTP/1.1\r\nHost : h",
        b"GET / HTTP/1.1\r\nHost: h\r\n folded",
        b"GET / HTTP/1.1\r\nHost: h\nX: y",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: \x01",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nContent-Length: 7",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +7",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 07",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 7, 7",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 19,
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 7",
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: a-miracle",
        b"GET / HTTP/1.1\r\nHost: h" + b"\r\nX: y" * 64,
    ],
)
def test_what_is_unusual_is_refused(head: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse_head(head)
    assert 400 <= refused.value.status < 500


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fail_otherwise(data: bytes) -> None:
    for head in (data, b"GET / HTTP/1.1\r\n" + data, b"GET / HTTP/1.1\r\nHost: h\r\n" + data):
        try:
            parse_head(head)
        except Problem:
            continue


def test_a_problem_is_a_document_with_a_code() -> None:
    response = problem_response(Problem.of(ObjectExists("a exists")), keep_alive=False, with_body=True)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 412 Precondition Failed\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Precondition Failed",
        "status": 412,
        "detail": "a exists",
        "code": "object-exists",
    }


def test_an_answer_to_head_has_no_body() -> None:
    response = problem_response(Problem(404, "object-missing", "no"), keep_alive=True, with_body=False)
    assert response.endswith(b"Connection: keep-alive\r\n\r\n")


def test_an_error_without_a_status_of_its_own_is_the_services_fault() -> None:
    assert Problem.of(StoreError("what")).status == 500


def test_a_response_head_ends_with_an_empty_line() -> None:
    assert response_head(204, {}, keep_alive=True) == b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
