"""Attacks on the REST API of a real ledger service, each refused with its status and code, and the service goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from consilo.api.gateway import now_ms
from consilo.api.models import Position
from consilo.protocol.access import reference_of
from tests.attacks.table import Attack, attacks_of
from tests.integration.consortium import Consortium
from tests.integration.rest import BODY_BYTES, HEAD_BYTES, call, exchange, parsed, token
from tests.integration.test_ledger_service_objects import with_round
from tests.integration.trial import started
from tests.unit.identity.token_attacks import encode

FILE = "tests/attacks/test_rest.py"
SILO = "HospitalB/silo"
TARGET = "/v1/uploads"
BODY = b'{"run":"trial","size_bytes":7}'


def rows(test: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", attacks_of(f"{FILE}::{test}"), ids=lambda attack: attack.name)


def expected(attack: Attack) -> tuple[int | None, str]:
    return attack.status, attack.code


@pytest.fixture(autouse=True)
def _others_are_served_afterwards(impatient: Consortium) -> Iterator[None]:
    yield
    assert call(impatient, "POST", TARGET, BODY, member=SILO).status == 200
    assert not impatient.ledger.events("a request failed by a defect")


def _forged(c: Consortium) -> str:
    words, _, signature = token(c, SILO, "POST", TARGET, BODY).rpartition(".")
    data = bytearray(base64.urlsafe_b64decode(signature + "=="))
    data[0] ^= 1
    return f"{words}.{encode(bytes(data)).decode()}"


def _unsigned(c: Consortium) -> str:
    header, claims, _ = token(c, SILO, "POST", TARGET, BODY).split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return f"{encode(json.dumps({**fields, 'alg': 'none'}).encode()).decode()}.{claims}."


TOKENS: dict[str, Callable[[Consortium], str]] = {
    "a forged token": _forged,
    "a token without a signature": _unsigned,
    "an expired token": lambda c: token(c, SILO, "POST", TARGET, BODY, now=now_ms() - 80_000),
    "a token for another organisation's gateway": lambda c: token(c, SILO, "POST", TARGET, BODY, audience="HospitalX"),
    "a token for another method": lambda c: token(c, SILO, "PUT", TARGET, BODY),
    "a token for another path": lambda c: token(c, SILO, "POST", "/v1/downloads", BODY),
    "a token for another body": lambda c: token(c, SILO, "POST", TARGET, BODY + b" "),
}


@rows("test_tokens")
def test_tokens(impatient: Consortium, attack: Attack) -> None:
    headers = {"authorization": f"Consilo {TOKENS[attack.name](impatient)}"}
    assert call(impatient, "POST", TARGET, BODY, headers=headers).refusal[:2] == expected(attack)


BODIES: dict[str, bytes] = {
    "JSON that is malformed": b"{'run': 'trial'}",
    "JSON that is nested too deep": b"[" * 20_000 + b"]" * 20_000,
    "JSON with a key twice": b'{"run":"trial","size_bytes":7,"run":"other"}',
    "JSON with unknown fields": b'{"run":"trial","size_bytes":7,"admin":true}',
    "JSON that is too large": b'{"run":"' + b"a" * BODY_BYTES + b'","size_bytes":7}',
}


@rows("test_bodies")
def test_bodies(impatient: Consortium, attack: Attack) -> None:
    for target in (TARGET, "/v1/downloads", "/v1/transactions"):
        answer = call(impatient, "POST", target, BODIES[attack.name], member=SILO)
        assert answer.refusal[:2] == expected(attack)


NAMES: dict[str, tuple[str, ...]] = {
    "names with path characters": ("..", "../trial", "a\\b", "a/b", ".trial", "trial.", "a:b", "~", "c%2fd"),
    "names with homoglyphs": ("trіal", "ｔrial", "trial\u200b", "tria\u0301l", "ⅿodel", "ＨospitalA", "hoſpital"),
    "names with control characters": ("tr\0ial", "trial\n", "\u202etrial", "trial ", " trial", "\x7f", "t\tr"),
}


@rows("test_names")
def test_names(impatient: Consortium, attack: Attack) -> None:
    for name in NAMES[attack.name]:
        body = json.dumps({"run": name, "size_bytes": 7}).encode()
        assert call(impatient, "POST", TARGET, body, member=SILO).refusal[:2] == expected(attack)
        reference = {"kind": "update", "round": 0, "attempt": 1, "member": f"HospitalA/{name}", "sha256": "0" * 64}
        body = json.dumps({"run": "trial", "artifact": reference}).encode()
        assert call(impatient, "POST", "/v1/downloads", body, member=SILO).refusal[:2] == expected(attack)
        escaped = "".join(f"%{byte:02X}" for byte in name.encode())
        # Without a token: a path with dot segments is none for which there could be one.
        assert call(impatient, "GET", f"/v1/runs/{escaped}", member=None).status in {401, 404}
    objects = {str(path.relative_to(impatient.objects)) for path in impatient.objects.rglob("*")}
    assert all(path.isascii() and ".." not in path for path in objects)


async def test_reading(impatient: Consortium, tmp_path: Path) -> None:
    (attack,) = attacks_of(f"{FILE}::test_reading")
    async with started(impatient, tmp_path) as trial:
        await with_round(trial)
        update = await trial.train(SILO, values=np.zeros(trial.elements, np.float32))
        body = {"run": trial.run, "artifact": reference_of(update).model_dump(mode="json")}
        answer = call(impatient, "POST", "/v1/downloads", body, member="HospitalC/silo")
        assert answer.refusal[:2] == expected(attack)


def test_cursors(impatient: Consortium) -> None:
    (attack,) = attacks_of(f"{FILE}::test_cursors")
    cursor = Position(height=10**6, index=0).cursor()
    assert call(impatient, "GET", f"/v1/events?after={cursor}").refusal[:2] == expected(attack)


LENGTHS: dict[str, bytes] = {
    "an announced body that is too large": b"Content-Length: 1000000000000\r\n",
    "a negative Content-Length": b"Content-Length: -1\r\n",
    "two different lengths of one body": b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
}


@rows("test_lengths")
def test_lengths(impatient: Consortium, attack: Attack) -> None:
    head = b"POST /v1/transactions HTTP/1.1\r\nHost: h\r\n" + LENGTHS[attack.name] + b"\r\n"
    assert parsed(exchange(impatient.ledger, head)).refusal[:2] == expected(attack)


HEADS: dict[str, tuple[bytes, ...]] = {
    "a head without an end": (b"X: ", *[b"a" * HEAD_BYTES] * 32),
    "a head with thousands of headers": (*[b"X: a\r\n"] * 5000, b"\r\n"),
}


@rows("test_heads")
def test_heads(impatient: Consortium, attack: Attack) -> None:
    before = impatient.ledger.peak_bytes()
    answer = exchange(impatient.ledger, b"GET /v1/ledger HTTP/1.1\r\nHost: h\r\n", b"".join(HEADS[attack.name]))
    assert parsed(answer).refusal[:2] == expected(attack)
    assert impatient.ledger.peak_bytes() - before < 8 * 2**20


def test_every_row_is_tried() -> None:
    tried = {**TOKENS, **BODIES, **NAMES, **LENGTHS, **HEADS}
    listed = {
        attack.name
        for test in ("tokens", "bodies", "names", "lengths", "heads")
        for attack in attacks_of(f"{FILE}::test_{test}")
    }
    assert set(tried) == listed
