"""The HTTP/1.1 that the store speaks: request heads in, response heads out. Pure; no I/O.

Strict on purpose: there are few clients and all of them are ours, so whatever is unusual is refused rather than
guessed at. One form of a body (`Content-Length`), no folding, no bare line feeds, no duplicates of what matters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from consilo.store.errors import (
    InvalidKey,
    ObjectExists,
    ObjectMissing,
    StoreError,
    StoreFull,
    StoreUnavailable,
    TooLarge,
    UrlExpired,
    UrlInvalid,
)
from consilo.store.local import CODE_HEADER

MAX_HEAD_BYTES = 16 * 1024
_MAX_HEADERS = 64
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t\x80-\xff]*?)[ \t]*")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_ONCE = frozenset({"content-length", "host", "expect", "connection", "transfer-encoding"})

_STATUS: dict[type[StoreError], HTTPStatus] = {
    InvalidKey: HTTPStatus.BAD_REQUEST,
    ObjectExists: HTTPStatus.PRECONDITION_FAILED,
    ObjectMissing: HTTPStatus.NOT_FOUND,
    StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UrlExpired: HTTPStatus.FORBIDDEN,
    UrlInvalid: HTTPStatus.FORBIDDEN,
}


class Problem(Exception):
    """An answer that is not a success.

    Attributes:
        status: HTTP status.
        code: Stable code, for programs.
        detail: One sentence, for people; holds nothing of the request's query.
        headers: More response headers.
    """

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Takes what the problem document will say."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: StoreError) -> "Problem":
        """The problem that tells of a store's error."""
        return cls(_STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR), error.code, str(error))


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request up to its body.

    Attributes:
        method: As sent.
        target: Path and query, as sent: not decoded.
        content_length: Bytes of the body; None when none was announced.
        expects_continue: Whether the client waits for `100 Continue`.
        keep_alive: Whether the client wants the connection to stay.
    """

    method: str
    target: str
    content_length: int | None
    expects_continue: bool
    keep_alive: bool

    @property
    def path(self) -> str:
        """The target without its query: what may be logged."""
        return self.target.partition("?")[0]


def parse_head(head: bytes) -> RequestHead:
    """Parses a request's head, without the empty line that ends it.

    Raises:
        Problem: It is not a request that this store takes.
    """
    first, *lines = head.split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        raise _bad("not an HTTP/1.1 request line")
    if len(lines) > _MAX_HEADERS:
        raise _bad(f"more than {_MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise _bad("not a header line")
        name = header[1].decode("ascii").lower()
        if name in headers and name in _ONCE:
            raise _bad(f"the header {name} is given twice")
        headers[name] = header[2].decode("latin-1")
    if "host" not in headers:
        raise _bad("no Host header")
    if "transfer-encoding" in headers:
        raise Problem(HTTPStatus.LENGTH_REQUIRED, "length-required", "send a Content-Length, not a transfer encoding")
    length = headers.get("content-length")
    if length is not None and _LENGTH.fullmatch(length) is None:
        raise _bad("not a Content-Length")
    expect = headers.get("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise Problem(HTTPStatus.EXPECTATION_FAILED, "bad-request", "the only expectation served is 100-continue")
    return RequestHead(
        method=request[1].decode("ascii"),
        target=request[2].decode("ascii"),
        content_length=None if length is None else int(length),
        expects_continue=expect is not None,
        keep_alive="close" not in headers.get("connection", "").lower(),
    )


def response_head(status: int, headers: Mapping[str, str], *, keep_alive: bool) -> bytes:
    """A response up to its body. The caller gives `Content-Length`."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def problem_response(problem: Problem, *, keep_alive: bool, with_body: bool) -> bytes:
    """A whole response with an RFC 9457 document; without its body for an answer to HEAD."""
    title = HTTPStatus(problem.status).phrase
    document = {
        "type": "about:blank",
        "title": title,
        "status": int(problem.status),
        "detail": problem.detail,
        "code": problem.code,
    }
    body = json.dumps(document).encode("ascii")
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        CODE_HEADER: problem.code,
        **problem.headers,
    }
    return response_head(problem.status, headers, keep_alive=keep_alive) + (body if with_body else b"")


def _bad(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "bad-request", detail)
