"""The listener for Jobs, by HTTP: what a Job gets, and what anybody else does not."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consilo.training.job_channel import Channel, JobUnwanted, SiloRefuses, SiloUnreachable
from consilo.training.job_messages import MAX_REPLY_BYTES
from consilo.training.messages import EvaluationReply, LoadReply, Progress, TrainingReply, line_of
from services.client.jobs.exchange import Exchange, Exchanges, digest_of
from services.client.jobs.listener import Listener, url_of
from tests.integration.job_play import job_settings
from tests.unit.client.test_job_exchange import EVALUATED, FAILED, order, record

SIZE = order().tensors.artifact_bytes
MODEL = bytes(number % 251 for number in range(SIZE))
SHA256 = hashlib.sha256(MODEL).hexdigest()
TRAINED = TrainingReply(id=2, num_samples=5, metrics={}, sha256=SHA256, seconds=1.0, checks=0, prints=0)
BEARER = {"authorization": "Bearer token"}


class Place:
    """A listener with one Job, called `job`, whose token is `token`."""

    def __init__(self, exchanges: Exchanges, exchange: Exchange, listener: Listener) -> None:
        self.exchanges = exchanges
        self.exchange = exchange
        self.url = listener.url
        self.port = int(listener.url.split(":")[2].split("/")[0])

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] = BEARER
    ) -> tuple[int, bytes]:
        """What is answered to a request."""

        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, f"/v1/jobs/{path}", body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()

        return await asyncio.to_thread(ask)

    async def code(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] = BEARER) -> Any:
        """Status and code of a refusal."""
        status, answer = await self.ask(method, path, body, headers)
        return status, json.loads(answer)["code"]

    def channel(self, token: str = "token", timeout_seconds: float = 5.0) -> Channel:
        """A Job's end."""
        return Channel(f"{self.url}/job", token, timeout_seconds=timeout_seconds)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    exchanges = Exchanges(tmp_path / "jobs")
    exchanges.load()
    base = tmp_path / "base"
    base.write_bytes(MODEL)
    found = record(order(base=SHA256)).model_copy(update={"base": str(base)})
    exchange = exchanges.open("job", found)
    exchange.is_awaited = True
    listener = Listener(exchanges, job_settings(stall_timeout_seconds=0.5, max_connections=4))
    async with listener:
        yield Place(exchanges, exchange, listener)


# -- What a Job gets and gives --


async def test_a_job_gets_its_order_and_model_and_gives_what_came_of_it(place: Place, tmp_path: Path) -> None:
    channel = place.channel()
    found = await asyncio.to_thread(channel.order)
    assert found == place.exchange.order
    target = tmp_path / "fetched"
    await asyncio.to_thread(channel.fetch_base, found, target)
    assert target.read_bytes() == MODEL
    told: list[Progress] = []
    place.exchange.on_progress = told.append
    await asyncio.to_thread(channel.tell, Progress(id=1, fraction=0.5, metrics={"loss": 0.5}))
    assert [progress.fraction for progress in told] == [0.5]
    await asyncio.to_thread(channel.give_update, target, SHA256)
    await asyncio.to_thread(channel.tell, TRAINED)
    assert await place.exchange.news(1.0)
    assert place.exchange.result(TrainingReply) == TRAINED
    await asyncio.to_thread(channel.tell, EVALUATED)
    assert place.exchange.result(EvaluationReply) == EVALUATED


async def test_what_is_given_twice_is_taken_once(place: Place, tmp_path: Path) -> None:
    channel, file = place.channel(), tmp_path / "model"
    file.write_bytes(MODEL)
    for _ in range(2):
        await asyncio.to_thread(channel.give_update, file, SHA256)
    for _ in range(2):
        await asyncio.to_thread(channel.tell, TRAINED)
    place.exchange.hand_over(TRAINED, tmp_path / "output")
    await asyncio.to_thread(channel.give_update, file, SHA256)
    assert place.exchange.given() is None


async def test_another_update_or_result_than_before_is_refused(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(MODEL)
    await asyncio.to_thread(place.channel().give_update, file, SHA256)
    assert await place.code("PUT", f"job/update/{'0' * 64}", MODEL) == (409, "already-given")
    await asyncio.to_thread(place.channel().tell, TRAINED)
    other = line_of(TRAINED.model_copy(update={"num_samples": 6}))
    assert await place.code("POST", "job/replies", other) == (409, "not-ordered")
    with pytest.raises(SiloRefuses, match="another result"):
        await asyncio.to_thread(place.channel().tell, TRAINED.model_copy(update={"num_samples": 6}))


# -- What nobody gets --


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer other"},
        {"authorization": "bearer token"},
        {"authorization": "Basic token"},
        {"authorization": "Bearer token2"},
        {"authorization": f"Bearer {digest_of('token')}"},
        {"authorization": "Bearer " + "t" * 10_000},
    ],
    ids=["none", "empty", "word", "no-token", "wrong", "case", "basic", "longer", "digest", "long"],
)
async def test_without_its_token_nobody_gets_or_gives_anything(place: Place, headers: dict[str, str]) -> None:
    for method, path in (
        ("GET", "job/order"),
        ("GET", "job/base"),
        ("PUT", f"job/update/{SHA256}"),
        ("POST", "job/replies"),
    ):
        assert await place.code(method, path, None, headers) == (401, "job-unknown")


async def test_a_job_that_is_not_known_is_told_the_same_as_one_with_a_wrong_token(place: Place) -> None:
    assert await place.ask("GET", "other/order") == await place.ask(
        "GET", "job/order", None, {"authorization": "Bearer wrong"}
    )
    place.exchanges.open("second", record().model_copy(update={"token": digest_of("second")}))
    assert await place.code("GET", "second/order") == (401, "job-unknown")


async def test_a_job_that_was_dropped_hears_that_it_is_not_wanted(place: Place) -> None:
    place.exchanges.drop(place.exchange)
    with pytest.raises(JobUnwanted):
        await asyncio.to_thread(place.channel().order)


async def test_a_job_that_nobody_waits_for_yet_is_asked_to_wait(place: Place) -> None:
    place.exchange.is_awaited = False
    assert await place.code("GET", "job/order") == (503, "job-not-awaited")
    with pytest.raises(SiloUnreachable):
        await asyncio.to_thread(place.channel().order)


@pytest.mark.parametrize("path", ["job", "job/secret", "job/update/../../x", "../status", "job/order/x"])
async def test_there_is_nothing_else(place: Place, path: str) -> None:
    status, _ = await place.ask("GET", path)
    assert status in {404, 405}


# -- Bad requests --


async def test_an_update_has_the_size_that_the_schema_says(place: Place) -> None:
    for body in (MODEL[:-1], MODEL + b"x", b""):
        assert await place.code("PUT", f"job/update/{SHA256}", body) == (400, "size-mismatch")
    chunked = {**BEARER, "transfer-encoding": "chunked"}
    assert (await place.code("PUT", f"job/update/{SHA256}", b"0\r\n\r\n", chunked))[0] == 400
    assert place.exchange.given() is None


async def test_an_update_that_came_damaged_is_sent_again(place: Place, tmp_path: Path) -> None:
    assert await place.code("PUT", f"job/update/{SHA256}", MODEL[::-1]) == (422, "digest-mismatch")
    file = tmp_path / "model"
    file.write_bytes(MODEL)
    await asyncio.to_thread(place.channel().give_update, file, SHA256)
    assert place.exchange.given() == SHA256


@pytest.mark.parametrize("sha256", ["0" * 63, "A" * 64, "x" * 64])
async def test_a_digest_that_is_none_is_refused(place: Place, sha256: str) -> None:
    assert (await place.code("PUT", f"job/update/{sha256}", MODEL))[0] == 400


async def test_an_upload_that_stops_half_way_leaves_room_for_the_next(place: Place, tmp_path: Path) -> None:
    head = f"PUT /v1/jobs/job/update/{SHA256} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer token\r\n"
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as half:
        half.sendall(f"{head}content-length: {SIZE}\r\n\r\n".encode() + MODEL[:10])
        answer = await asyncio.to_thread(half.recv, 1024)
        assert answer.startswith(b"HTTP/1.1 408")
    file = tmp_path / "model"
    file.write_bytes(MODEL)
    await asyncio.to_thread(place.channel().give_update, file, SHA256)


async def test_a_reply_that_is_none_or_too_long_or_was_not_asked_for_is_refused(place: Place) -> None:
    for body in (b"", b"{", b"[]", b'{"kind": "cancel", "id": 1}', b"\xff", b'{"kind": "trained"}'):
        assert await place.code("POST", "job/replies", body) == (400, "malformed")
    assert await place.code("POST", "job/replies", b" " * (MAX_REPLY_BYTES + 1)) == (413, "too-large")
    loaded = LoadReply(id=1, version="1", baseline=False, seconds=0.0)
    assert await place.code("POST", "job/replies", line_of(loaded)) == (409, "not-ordered")
    assert await place.code("POST", "job/replies", line_of(TRAINED)) == (409, "not-ordered")
    assert not await place.exchange.news(0.0)


async def test_a_model_that_is_gone_ends_the_job(place: Place, tmp_path: Path) -> None:
    (tmp_path / "base").unlink()
    with pytest.raises(JobUnwanted):
        await asyncio.to_thread(place.channel().fetch_base, place.exchange.order, tmp_path / "fetched")


async def test_a_model_that_is_another_by_now_is_not_taken(place: Place, tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(MODEL[::-1])
    with pytest.raises(SiloUnreachable, match="whole"):
        await asyncio.to_thread(place.channel().fetch_base, place.exchange.order, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


async def test_a_failure_is_kept_for_who_waits(place: Place) -> None:
    await asyncio.to_thread(place.channel().tell, FAILED)
    assert await place.exchange.news(1.0)


def test_a_pod_is_reached_at_its_address_of_either_kind() -> None:
    assert url_of("10.1.2.3", 8071) == "http://10.1.2.3:8071/v1/jobs"
    assert url_of("fd00::7", 8071) == "http://[fd00::7]:8071/v1/jobs"
