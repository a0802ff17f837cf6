"""Who may read: a token is good for one request of a member that counts, and nothing else opens the ledger service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from consilo.api.gateway import now_ms
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RevokeMember
from tests.integration.consortium import Consortium, issue
from tests.integration.rest import AUDITOR, Answer, call, token
from tests.unit.identity.factory import DAY, Issuer, make_leaf
from tests.unit.identity.token_attacks import encode

TARGET = "/v1/head"


def with_token(consortium: Consortium, text: str, *, scheme: str = "Consilo", target: str = TARGET) -> Answer:
    return call(consortium, "GET", target, headers={"authorization": f"{scheme} {text}"})


def parts(text: str) -> list[dict[str, Any]]:
    """Header and claims of a token."""
    return [json.loads(_decoded(part)) for part in text.split(".")[:2]]


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> str:
    return b".".join((*(encode(json.dumps(part).encode()) for part in (header, claims)), encode(signature))).decode()


@pytest.mark.parametrize("scheme", ["Consilo", "Bearer", "bearer"])
def test_a_good_token_opens_under_either_scheme(consortium: Consortium, scheme: str) -> None:
    assert with_token(consortium, token(consortium, AUDITOR, "GET", TARGET), scheme=scheme).status == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "Basic YTpi"}])
def test_without_a_token_nothing_is_read(consortium: Consortium, headers: dict[str, str]) -> None:
    answer = call(consortium, "GET", TARGET, member=None, headers=headers)
    assert answer.refusal == (401, "token-missing", False)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("text", ["a", "a.b.c", "é.b.c", "....", "a" * 17_000 + ".b.c", "e30.e30.e30"])
def test_what_is_no_token_is_refused(impatient: Consortium, consortium: Consortium, text: str) -> None:
    if len(text) > 16_384:  # the default limit of a head is higher
        assert with_token(consortium, text).refusal == (401, "token-malformed", False)
        assert with_token(impatient, text).refusal == (431, "too-large", False)
        return
    answer = call(consortium, "GET", TARGET, headers={"authorization": f"Consilo {text}".encode().decode("latin-1")})
    assert answer.refusal == (401, "token-malformed", False)


def test_a_token_without_a_signature_is_refused(consortium: Consortium) -> None:
    header, claims = parts(token(consortium, AUDITOR, "GET", TARGET))
    for changes in ({"alg": "none"}, {"alg": "None"}):
        text = forged({**header, **changes}, claims, b"")
        assert with_token(consortium, text).refusal == (401, "token-malformed", False)
        assert with_token(consortium, text + "AA").refusal == (401, "token-malformed", False)


def test_a_token_signed_with_a_public_key_as_a_secret_is_refused(consortium: Consortium) -> None:
    header, claims = parts(token(consortium, AUDITOR, "GET", TARGET))
    key = consortium.identity(AUDITOR).certificates[0]
    for algorithm in ("HS256", "ES256"):
        changed = {**header, "alg": algorithm}
        words = b".".join(encode(json.dumps(part).encode()) for part in (changed, claims))
        text = f"{words.decode()}.{encode(hmac.digest(key, words, hashlib.sha256)).decode()}"
        assert with_token(consortium, text).problem.code in {"token-malformed", "token-untrusted"}


@pytest.mark.parametrize(
    "extra", [{"jku": "http://127.0.0.1/keys"}, {"jwk": {"kty": "EC"}}, {"kid": "../../key"}, {"crit": ["b64"]}]
)
def test_a_token_that_brings_its_own_key_is_refused(consortium: Consortium, extra: dict[str, Any]) -> None:
    header, claims = parts(token(consortium, AUDITOR, "GET", TARGET))
    words = b".".join(encode(json.dumps(part).encode()) for part in ({**header, **extra}, claims))
    text = f"{words.decode()}.{encode(consortium.identity(AUDITOR).sign(words)).decode()}"
    assert with_token(consortium, text).refusal == (401, "token-malformed", False)


def test_another_members_claims_over_ones_own_signature_are_refused(consortium: Consortium) -> None:
    header, claims = parts(token(consortium, AUDITOR, "GET", TARGET))
    words = b".".join(encode(json.dumps(part).encode()) for part in (header, {**claims, "iss": "HospitalB/operator"}))
    text = f"{words.decode()}.{encode(consortium.identity(AUDITOR).sign(words)).decode()}"
    assert with_token(consortium, text).refusal == (401, "token-untrusted", False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": "HospitalZ"}, "token-wrong-audience"),
        ({"method": "POST"}, "token-wrong-request"),
        ({"target": "/v1/runs"}, "token-wrong-request"),
        ({"target": f"{TARGET}?x=1"}, "token-wrong-request"),
        ({"body": b"{}"}, "token-wrong-request"),
        ({"now": now_ms() - 80_000}, "token-expired"),
        ({"now": now_ms() + 80_000}, "token-expired"),
        ({"lifetime_seconds": 61}, "token-expired"),
        ({"lifetime_seconds": 0}, "token-expired"),
    ],
)
def test_a_token_for_something_else_is_refused(consortium: Consortium, changes: dict[str, Any], code: str) -> None:
    if "now" in changes:
        changes = {"now": now_ms() + (80_000 if changes["now"] > now_ms() else -80_000)}
    request: dict[str, Any] = {"method": "GET", "target": TARGET, **changes}
    text = token(consortium, AUDITOR, request.pop("method"), request.pop("target"), request.pop("body", b""), **request)
    assert with_token(consortium, text).refusal == (401, code, False)


def test_a_token_for_another_query_is_refused(consortium: Consortium) -> None:
    text = token(consortium, AUDITOR, "GET", "/v1/blocks?start=0")
    assert with_token(consortium, text, target="/v1/blocks?start=0").status == 200
    assert with_token(consortium, text, target="/v1/blocks?start=1").refusal == (401, "token-wrong-request", False)
    assert with_token(consortium, text, target="/v1/blocks").refusal == (401, "token-wrong-request", False)


def test_a_token_for_another_body_is_refused(consortium: Consortium) -> None:
    text = token(consortium, "HospitalB/silo", "POST", "/v1/uploads", b'{"run":"a","size_bytes":1}')
    headers = {"authorization": f"Consilo {text}"}
    answer = call(consortium, "POST", "/v1/uploads", b'{"run":"a","size_bytes":2}', headers=headers)
    assert answer.refusal == (401, "token-wrong-request", False)


def test_an_organisation_that_is_not_registered_is_told_to_come_again(consortium: Consortium) -> None:
    stranger = Authority.create("HospitalZ", now=now_ms()).issue("viewer", "auditor", now=now_ms())
    assert call(consortium, "GET", TARGET, member=stranger).refusal == (401, "organisation-unknown", True)


def test_a_ca_that_only_goes_by_the_organisations_name_counts_nothing(consortium: Consortium) -> None:
    impostor = Authority.create("HospitalB", now=now_ms()).issue("operator", "operator", now=now_ms())
    assert call(consortium, "GET", TARGET, member=impostor).refusal == (401, "token-untrusted", False)


def test_an_expired_certificate_counts_nothing(consortium: Consortium) -> None:
    authority = consortium.authorities["HospitalB"]
    issuer = Issuer(x509.load_der_x509_certificate(authority.certificates[0]), authority._key)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = make_leaf(issuer, "consilo://HospitalB/viewer/former", key=key, start=now_ms() - DAY, end=now_ms() - 1000)
    old = Identity((leaf,), key)
    assert call(consortium, "GET", TARGET, member=old).refusal == (401, "token-untrusted", False)


async def test_a_revoked_certificate_counts_nothing_from_then_on(consortium: Consortium) -> None:
    leaver = issue(consortium.authorities, "HospitalB/auditor-2")
    assert call(consortium, "GET", TARGET, member=leaver).status == 200
    async with consortium.party("HospitalB/operator") as operator:
        await operator.metadata_publish(RevokeMember(serial=leaver.certificate.serial, reason="left"))
    answer = call(consortium, "GET", TARGET, member=leaver)
    assert answer.refusal == (401, "token-untrusted", False)
    assert "revoked" in answer.problem.detail


def test_a_refusal_never_shows_the_token(consortium: Consortium) -> None:
    text = token(consortium, AUDITOR, "GET", "/v1/runs")
    answer = with_token(consortium, text)
    assert answer.status == 401
    assert text.encode() not in answer.body
    assert text not in consortium.ledger.log()
