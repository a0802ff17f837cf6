"""Tokens of any kind for tests, also those that no member of good faith makes, and a gateway to show them to."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from consilo.identity.authority import Authority
from consilo.identity.errors import TokenRefused
from consilo.identity.identity import Identity
from consilo.identity.tokens import (
    request_token,
    verify_request_token,
)
from consilo.protocol.certificates import MemberCertificate
from tests.unit.identity.factory import NOW

A = Authority.create("HospitalA", now=NOW)
B = Authority.create("HospitalB", now=NOW)
SILO = A.issue("silo", "silo-1", now=NOW)
ROOTS = {"HospitalA": A.roots, "HospitalB": B.roots}
BODY = b'{"a":1}'
TARGET = "/v1/transactions?wait=1"
LEGITIMATE: dict[str, Any] = {
    "iss": "HospitalA/silo-1",
    "aud": "HospitalB",
    "iat": NOW // 1000,
    "exp": NOW // 1000 + 60,
    "jti": "A" * 22,
    "htm": "POST",
    "htu": TARGET,
    "bsh": base64.urlsafe_b64encode(hashlib.sha256(BODY).digest()).rstrip(b"=").decode(),
}
HEADER: dict[str, Any] = {
    "alg": "ES256",
    "typ": "consilo-request+jwt",
    "x5c": [base64.b64encode(SILO.certificates[0]).decode()],
}


def encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(
    header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, sign: Callable[[bytes], bytes] = SILO.sign
) -> str:
    """A token with any header and claims, or any bytes in their places."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    message = b".".join(encode(part) for part in parts)
    return (message + b"." + encode(sign(message))).decode()


def made(identity: Identity = SILO, **changes: Any) -> str:
    arguments = {"audience": "HospitalB", "method": "POST", "target": TARGET, "body": BODY, "now": NOW, **changes}
    return request_token(identity, **arguments)


def verified(token: str, **changes: Any) -> MemberCertificate:
    arguments: dict[str, Any] = {
        "audiences": {"HospitalB"},
        "method": "POST",
        "target": TARGET,
        "body_sha256": hashlib.sha256(BODY).digest(),
        "roots_of": ROOTS.get,
        "is_revoked": lambda msp, serial: False,
        "now": NOW,
        **changes,
    }
    return verify_request_token(token, **arguments)


def refused(token: str, **changes: Any) -> str:
    with pytest.raises(TokenRefused) as caught:
        verified(token, **changes)
    assert not token or token not in str(caught.value)
    return caught.value.code
