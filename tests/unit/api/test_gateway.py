"""The client of a gateway against servers that say anything: connections kept and dropped, TLS, answers, streams."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consilo.api.errors import AnswerInvalid, ApiError, GatewayUnavailable
from consilo.api.gateway import Gateway
from consilo.api.models import LedgerInfo
from consilo.api.settings import ApiSettings
from tests.simulated_members import identity
from tests.unit.store.hostile import read_head, saying, self_signed, serving

INFO = LedgerInfo(ledger="demo", kind="embedded", organisations=("HospitalA",), version="1")


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def again_and_again(data: bytes, heads: list[bytes], times: int = 1_000) -> Callable[[socket.socket], None]:
    """Answers so many requests on a connection."""

    def behave(client: socket.socket) -> None:
        for _ in range(times):
            head = read_head(client)
            if not head:
                return
            heads.append(head)
            client.sendall(data)

    return behave


@asynccontextmanager
async def gateway_at(url: str, **settings: object) -> AsyncIterator[Gateway]:
    limits = ApiSettings.model_validate({"request_timeout_seconds": 5, **settings})
    async with Gateway.http_client(limits) as http:
        yield Gateway(url, audience="HospitalA", identity=identity("HospitalA/silo"), http=http, settings=limits)


async def test_one_connection_serves_many_requests_and_a_prefix_of_the_path_stays() -> None:
    heads: list[bytes] = []
    with serving(again_and_again(answer(INFO.encode()), heads)) as (host, accepted):
        async with gateway_at(f"http://{host}/consilo/") as gateway:
            assert [await gateway.info() for _ in range(3)] == [INFO] * 3
        assert len(accepted) == 1
    assert {head.split(b"\r\n")[0] for head in heads} == {b"GET /consilo/v1/ledger HTTP/1.1"}
    hosts = {line.lower() for head in heads for line in head.split(b"\r\n") if line.lower().startswith(b"host")}
    assert hosts == {f"host: {host}".encode()}


async def test_a_connection_that_the_gateway_closed_is_not_used_again() -> None:
    heads: list[bytes] = []
    with serving(again_and_again(answer(INFO.encode()), heads, times=1)) as (host, accepted):
        async with gateway_at(f"http://{host}") as gateway:
            for _ in range(3):
                assert await _after_closing(gateway) == INFO
        assert len(accepted) == 3


async def _after_closing(gateway: Gateway) -> LedgerInfo:
    """What a member does that repeats what was lost: the end of a connection may be seen only with the next request."""
    while True:
        try:
            return await gateway.info()
        except GatewayUnavailable:
            continue


async def test_tls_is_spoken_to_a_gateway_whose_roots_are_given_and_to_no_other(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    heads: list[bytes] = []
    with serving(again_and_again(answer(INFO.encode()), heads), context) as (host, accepted):
        async with gateway_at(f"https://{host}", ca_file=str(certificate)) as gateway:
            assert [await gateway.info() for _ in range(3)] == [INFO] * 3
        assert len(accepted) == 1
        async with gateway_at(f"https://{host}") as gateway:
            with pytest.raises(GatewayUnavailable, match="self-signed certificate"):
                await gateway.info()
        other_name = host.replace("127.0.0.1", "localhost")
        async with gateway_at(f"https://{other_name}", ca_file=str(certificate)) as gateway:
            with pytest.raises(GatewayUnavailable, match="not valid for 'localhost'"):
                await gateway.info()
    assert len(heads) == 3


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", GatewayUnavailable),
        (b"SSH-2.0-OpenSSH\r\n", GatewayUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", GatewayUnavailable),
        (answer(b"{}"), AnswerInvalid),
        (answer(b"<html>"), AnswerInvalid),
        (answer(b"busy", "503 Busy"), GatewayUnavailable),
        (answer(b"", "302 Found", "Location: http://127.0.0.1:1/"), AnswerInvalid),
        (answer(b"x" * 2000), AnswerInvalid),
    ],
    ids=["nothing", "ssh", "cut", "other", "html", "busy", "redirect", "too-much"],
)
async def test_what_is_no_answer_has_its_error(data: bytes, error: type[ApiError]) -> None:
    with serving(saying(data)) as (host, _):
        async with gateway_at(f"http://{host}", max_answer_bytes=1024) as gateway:
            with pytest.raises(error):
                await gateway.info()


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1"])
async def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(AnswerInvalid, match="no URL of a gateway"):
        async with gateway_at(url):
            pass


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense"])
async def test_a_gateway_is_reached_by_http_only(url: str) -> None:
    async with gateway_at(url) as gateway:
        with pytest.raises(GatewayUnavailable):
            await gateway.info()


async def test_a_stream_says_what_it_leaves_out() -> None:
    heads: list[bytes] = []
    with serving(again_and_again(answer(b"\n"), heads)) as (host, _):
        async with (
            gateway_at(f"http://{host}") as gateway,
            gateway.event_lines("abc", "trial", ("record_access", "attest_global")) as lines,
        ):
            assert [line async for line in lines] == [""]
    target = b"/v1/events?after=abc&run=trial&without=attest_global&without=record_access"
    assert heads[0].split(b" ")[1] == target
