"""A store that is slow, drops connections half way, or serves garbage: runs end whole, and nobody is blamed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness import Trial
from tests.faults.proofs import log_lines
from tests.faults.proxied import behind_a_proxy
from tests.faults.proxy import HONEST, Asked, Treatment

slow = pytest.mark.slow
"""In `make test` one case of each kind."""

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
DEFECT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\nConnection: close\r\n\r\noh no\n"
NO_HTTP = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP at all\r\n" * 20
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world"

SLOW = Treatment(bytes_per_second=150_000)
"""A model of 200 kB takes a second and a third."""


async def attempts_and_exclusions(trial: Trial, run: str) -> tuple[list[int], list[str]]:
    """How many attempts each round of a run took, and for which reasons updates were excluded."""
    party = await trial.party()
    attempts: list[int] = []
    reasons: list[str] = []
    for number in range(trial.runs[run]):
        opening = (await party.gateway.round(run, number)).opening
        attempts.append(opening.attempt)
        reasons += [exclusion.reason for exclusion in opening.excluded]
    return attempts, reasons


@pytest.mark.parametrize(
    ("first", "methods", "times"),
    [
        pytest.param(SLOW, ("GET", "PUT"), 99, id="slow", marks=slow),
        pytest.param(Treatment(cut_request_at=0.5), ("PUT",), 1, id="uploads-cut-half-way"),
        pytest.param(Treatment(cut_response_at=0.5), ("GET",), 2, id="downloads-cut-half-way"),
        pytest.param(Treatment(cut_response_at=0.0), ("GET", "PUT"), 1, id="answers-cut-at-once", marks=slow),
        pytest.param(Treatment(answer=UNAVAILABLE), ("GET", "PUT"), 2, id="unavailable", marks=slow),
        pytest.param(Treatment(answer=DEFECT), ("GET", "PUT"), 2, id="defect"),
        pytest.param(Treatment(answer=b""), ("GET", "PUT"), 2, id="no-answer", marks=slow),
        pytest.param(Treatment(answer=NO_HTTP), ("GET", "PUT"), 1, id="no-http", marks=slow),
    ],
)
async def test_a_run_ends_whole_in_first_attempts_when_the_store(
    tmp_path: Path, first: Treatment, methods: tuple[str, ...], times: int
) -> None:
    def script(asked: Asked) -> Treatment:
        return first if asked.method in methods and asked.count <= times else HONEST

    async with behind_a_proxy(tmp_path) as (trial, proxy):
        await trial.begin("bad", rounds=2)
        proxy.script = script
        await trial.until_finished("bad")
        proxy.script = lambda _: HONEST
        await trial.prove("bad")

        assert sum(proxy.treated.values()) >= 3
        assert await attempts_and_exclusions(trial, "bad") == ([1, 1], [])


async def test_an_update_that_the_store_spoils_is_replaced_in_the_next_attempt(tmp_path: Path) -> None:
    """What the aggregator reads of one update is not what was published; the silo is asked for it again."""
    spoiled: list[str] = []

    def script(asked: Asked) -> Treatment:
        if asked.method == "GET" and "/hospitalb/silo/" in asked.key and (not spoiled or spoiled == [asked.key]):
            spoiled[:] = [asked.key]
            return Treatment(flip=True)
        return HONEST

    async with behind_a_proxy(tmp_path) as (trial, proxy):
        await trial.begin("spoiled", rounds=2)
        proxy.script = script
        await trial.until_finished("spoiled")
        proxy.script = lambda _: HONEST
        await trial.prove("spoiled")

        assert await attempts_and_exclusions(trial, "spoiled") == ([2, 1], ["digest-mismatch"])
        (line,) = [line for line in log_lines(trial.service("aggregator").log) if line["event"] == "update unusable"]
        assert (line["member"], line["reason"]) == ("HospitalB/silo", "digest-mismatch")


@pytest.mark.parametrize(
    "treatment",
    [
        pytest.param(Treatment(flip=True), id="one-bit"),
        pytest.param(Treatment(answer=SHORT), id="another-size", marks=slow),
    ],
)
async def test_a_global_that_the_store_spoils_for_a_silo_is_fetched_again(tmp_path: Path, treatment: Treatment) -> None:
    def script(asked: Asked) -> Treatment:
        return treatment if asked.method == "GET" and asked.count == 1 and "/silo/" not in asked.key else HONEST

    async with behind_a_proxy(tmp_path) as (trial, proxy):
        await trial.begin("spoiled", rounds=2)
        proxy.script = script
        await trial.until_finished("spoiled")
        proxy.script = lambda _: HONEST
        await trial.prove("spoiled")

        assert proxy.treated["GET"] >= 2
        assert await attempts_and_exclusions(trial, "spoiled") == ([1, 1], [])
