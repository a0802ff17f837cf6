"""The ledger service as a process: what it says of itself, how it starts, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.consortium import DEADLINE_SECONDS, Consortium, running_consortium, until_true
from tests.integration.rest import BODY_BYTES, call, connected, events, parsed, read_all

WITHOUT_TOKEN = {"/v1/ledger", "/v1/transactions", "/livez", "/readyz"}


def described(consortium: Consortium) -> dict[str, Any]:
    found: dict[str, Any] = call(consortium, "GET", "/openapi.json", member=None).json
    return found


def test_health_needs_no_token(consortium: Consortium) -> None:
    for target in ("/livez", "/readyz"):
        answer = call(consortium, "GET", target, member=None)
        assert (answer.status, answer.body) == (200, b"ok\n")


def test_every_operation_is_described_with_its_problems(consortium: Consortium) -> None:
    for path, operations in described(consortium)["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            problems = {status for status in responses if status != "200"}
            if path == "/livez":
                assert problems == set()
                continue
            assert {"503", "default"} <= problems, path
            assert "422" not in problems
            assert ("security" in operation) == (path not in WITHOUT_TOKEN), path
            assert ("401" in problems) == (path not in WITHOUT_TOKEN), path
            assert ("413" in problems) == (path not in WITHOUT_TOKEN - {"/v1/transactions"}), path
            assert ("requestBody" in operation) == (method == "post")
            if operation.get("parameters") or method == "post":
                assert "400" in problems
            for status in problems:
                content = responses[status]["content"]
                assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_the_description_refers_only_to_what_is_in_it(consortium: Consortium) -> None:
    description = described(consortium)
    text = json.dumps(description)
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names
    assert names <= set(description["components"]["schemas"])
    assert "$defs" not in text
    for pattern in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', text):
        re.compile(json.loads(f'"{pattern}"'))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_seconds_though_event_streams_are_open(tmp_path: Path, number: signal.Signals) -> None:
    with running_consortium(tmp_path) as own, events(own) as stream, connected(own.ledger) as idle:
        stream.event()
        started = time.monotonic()
        assert own.ledger.end(number) == 0
        assert time.monotonic() - started < 5
        assert stream.has_ended()
        with suppress(ConnectionResetError):  # not accepted yet
            assert read_all(idle) == b""


def test_a_request_in_flight_is_finished_before_the_end(tmp_path: Path) -> None:
    with running_consortium(tmp_path, log_format="json") as own, connected(own.ledger) as client:
        client.sendall(b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{")
        with connected(own.ledger) as idle:  # closed at the beginning of the end
            own.ledger.process.send_signal(signal.SIGTERM)
            assert read_all(idle) == b""
        client.sendall(b"}")
        assert parsed(read_all(client)).refusal == (400, "malformed", False)
        assert own.ledger.process.wait(DEADLINE_SECONDS) == 0
        assert own.ledger.events("ended")


def test_the_end_does_not_wait_for_ever_for_a_client(tmp_path: Path) -> None:
    with running_consortium(tmp_path, shutdown_grace_seconds=1) as own, connected(own.ledger) as client:
        client.sendall(b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{")
        assert call(own, "GET", "/livez", member=None).status == 200
        assert own.ledger.end() == 0


def failed_start(*flags: str) -> tuple[int, list[dict[str, str]]]:
    """Exit code and log of a service that cannot start."""
    command = [sys.executable, "-m", "services.ledger", "--log-format", "json", *flags]
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE_SECONDS, check=False)
    assert done.stdout == b""
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_it_says_why_it_cannot_start(consortium: Consortium, tmp_path: Path) -> None:
    gateway, secret = str(consortium.directory / "gateway"), str(consortium.directory / "store-secret")
    good = ["--identity", gateway, "--port", "0", "--store.url", "http://127.0.0.1:1", "--store.secret-file", secret]
    ledger = ["--embedded.file", str(tmp_path / "new.sqlite")]
    consortium.identity("HospitalB/silo")
    silo = consortium.identity_directory("HospitalB/silo")
    for flags, told in (
        ([], "CONSILO_LEDGER_IDENTITY"),
        ([*good, *ledger, "--port", "x"], "CONSILO_LEDGER_PORT"),
        ([*good, *ledger, "--max-body-bytes", "7"], "CONSILO_LEDGER_MAX_BODY_BYTES"),
        ([*good, *ledger], "there is no ledger at"),
        ([*good, *ledger, "--identity", str(tmp_path)], "certificate.pem"),
        ([*good, *ledger, "--store.secret-file", str(tmp_path / "none")], "cannot read"),
        ([*good, "--embedded.file", str(consortium.directory / "ledger.sqlite")], "open for writing already"),
        ([*good, *ledger, "--embedded.genesis-file", secret], "genesis"),
        ([*good, *ledger, "--identity", str(silo)], "has the role silo"),
    ):
        code, log = failed_start(*flags)
        assert code == 2, flags
        assert any(told in json.dumps(line) for line in log), (told, log)


async def test_the_limits_are_settings(impatient: Consortium, consortium: Consortium) -> None:
    body = b" " * (BODY_BYTES + 1)
    assert call(impatient, "POST", "/v1/transactions", body, member=None).status == 413
    assert call(consortium, "POST", "/v1/transactions", body, member=None).status == 400
    await until_true(lambda: not impatient.ledger.events("a request failed by a defect"), "no defect")
