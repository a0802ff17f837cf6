"""The ledger service's REST API as a client sees it that keeps to no rules: any request, any token, any bytes."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from consilo.api.gateway import now_ms
from consilo.api.models import Problem
from consilo.identity.identity import Identity
from consilo.identity.tokens import authorization, request_token
from consilo.protocol.transaction import Payload, envelope, signed_bytes
from tests.integration.consortium import DEADLINE_SECONDS, Consortium, Service, running_consortium

BODY_BYTES: Final = 64 * 1024
HEAD_BYTES: Final = 16 * 1024
HEAD_SECONDS: Final = 0.5
BODY_SECONDS: Final = 0.5
OBJECT_BYTES: Final = 100_000
AUDITOR: Final = "HospitalB/auditor"


def impatient_consortium(directory: Path) -> AbstractContextManager[Consortium]:
    """A consortium whose ledger service has small limits and short waits."""
    return running_consortium(
        directory,
        heartbeat_seconds=0.2,
        body_timeout_seconds=BODY_SECONDS,
        max_body_bytes=BODY_BYTES,
        head_timeout_seconds=HEAD_SECONDS,
        max_head_bytes=HEAD_BYTES,
        stall_timeout_seconds=0.5,
        store__max_object_bytes=OBJECT_BYTES,
        log_format="json",
    )


def signed(
    consortium: Consortium,
    member: str,
    kind: str,
    body: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
) -> bytes:
    """A transaction in its member's words; `changes` replace fields of its payload before it is signed."""
    identity = consortium.identity(member)
    values = {"ledger": "test-ledger", "member": member, "type": kind, "body": body, **(changes or {})}
    words = Payload.model_validate(values)
    return envelope(words, identity.certificates, identity.sign(signed_bytes(words))).encode()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> Problem:
        """The problem, which an error must be."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = Problem.decode(self.body)
        assert problem.status == self.status
        assert problem.type == "about:blank"
        assert problem.title
        assert problem.detail
        return problem

    @property
    def refusal(self) -> tuple[int, str, bool]:
        """Status, code and whether it may be tried again."""
        return self.status, self.problem.code, self.problem.retryable

    @property
    def json(self) -> Any:
        """The body, of an answer that is no error."""
        assert self.status == 200, self
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


def token(
    consortium: Consortium, member: str | Identity, method: str, target: str, body: bytes = b"", **changes: Any
) -> str:
    """A good token for a request, but for what is changed."""
    identity = consortium.identity(member) if isinstance(member, str) else member
    audience = "HospitalA" if identity.msp not in ("HospitalB", "HospitalC") else identity.msp
    values = {"audience": audience, "method": method, "target": target, "body": body, "now": now_ms(), **changes}
    return request_token(identity, **values)


def call(
    consortium: Consortium,
    method: str,
    target: str,
    body: bytes | Mapping[str, Any] = b"",
    *,
    member: str | Identity | None = AUDITOR,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """A request by a member (None: without a token), or with any other header."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = dict(headers or {})
    if member is not None and "authorization" not in sent:
        sent["authorization"] = authorization(token(consortium, member, method, target, data))
    connection = http.client.HTTPConnection(address(consortium.ledger)[0], address(consortium.ledger)[1], timeout=30)
    try:
        connection.request(method, target, data or None, sent)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def address(service: Service) -> tuple[str, int]:
    """Where a service listens."""
    parts = urlsplit(service.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def connected(service: Service) -> socket.socket:
    """A TCP connection to a service."""
    return socket.create_connection(address(service), timeout=DEADLINE_SECONDS)


def read_all(client: socket.socket) -> bytes:
    """Everything until the service closes the connection."""
    answer = b""
    while data := client.recv(65536):
        answer += data
    return answer


def exchange(service: Service, *pieces: bytes) -> bytes:
    """Send bytes as they are, and return all that is answered until the service closes the connection."""
    with connected(service) as client:
        for piece in pieces:
            client.sendall(piece)
        return read_all(client)


def parsed(answer: bytes) -> Answer:
    """The only answer in what a connection gave."""
    assert len(re.findall(rb"HTTP/1\.1 [1-5]", answer)) == 1, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


@dataclass
class Events:
    """An event stream, frame by frame."""

    response: http.client.HTTPResponse

    def frame(self) -> dict[str, str]:
        """The next event's fields; of a comment, `comment` alone."""
        found: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(":")
            found[name or "comment"] = value.removeprefix(" ")
        assert found, "the stream ended"
        return found

    def event(self) -> dict[str, str]:
        """The next event; signs of life are passed over."""
        while "comment" in (found := self.frame()):
            pass
        return found

    def transaction(self) -> dict[str, Any]:
        """What the next event tells of a transaction, with its cursor."""
        event = self.event()
        assert event["event"] == "transaction", event
        told: dict[str, Any] = json.loads(event["data"])
        return {**told["event"], "cursor": event["id"]}

    def has_ended(self) -> bool:
        """Whether nothing comes any more."""
        return self.response.read() == b""


@contextmanager
def events(
    consortium: Consortium, query: str = "", *, member: str = AUDITOR, headers: Mapping[str, str] | None = None
) -> Iterator[Events]:
    """An event stream, open until the end of the block."""
    target = f"/v1/events{query}"
    connection = http.client.HTTPConnection(*address(consortium.ledger), timeout=DEADLINE_SECONDS)
    try:
        sent = {"authorization": authorization(token(consortium, member, "GET", target)), **(headers or {})}
        connection.request("GET", target, headers=sent)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        yield Events(response)
    finally:
        connection.close()
