"""A request token says who sent this request, now, to us; every other use of it is refused."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from consilo.identity.chains import ChainCache
from consilo.identity.errors import TokenRefused
from consilo.identity.tokens import (
    authorization,
    token_of,
)
from tests.unit.identity.factory import NOW, make_identity, make_issuer
from tests.unit.identity.token_attacks import (
    HEADER,
    LEGITIMATE,
    SILO,
    A,
    encode,
    made,
    refused,
    signed,
    verified,
)


def test_a_token_counts_only_with_the_organisation_it_was_made_for() -> None:
    assert refused(made(audience="HospitalC")) == "token-wrong-audience"
    assert refused(made(audience="hospitalb")) == "token-wrong-audience"
    assert refused(made(), audiences=[]) == "token-wrong-audience"
    assert verified(made(audience="HospitalC"), audiences=["HospitalB", "HospitalC"]) == SILO.certificate


@pytest.mark.parametrize(
    ("offset_ms", "counts"), [(-30_000, True), (-30_001, False), (0, True), (89_999, True), (90_000, False)]
)
def test_a_token_counts_for_a_minute_and_the_leeway(offset_ms: int, counts: bool) -> None:
    token = made()
    if counts:
        assert verified(token, now=NOW + offset_ms) == SILO.certificate
    else:
        assert refused(token, now=NOW + offset_ms) == "token-expired"


def test_leeway_and_lifetime_are_settings() -> None:
    assert refused(made(), now=NOW + 61_000, leeway_seconds=0) == "token-expired"
    assert refused(made(lifetime_seconds=121)) == "token-expired"
    assert verified(made(lifetime_seconds=121), max_lifetime_seconds=121) == SILO.certificate


@pytest.mark.parametrize("lifetime", [0, -1, 10**9])
def test_a_token_that_ends_before_it_starts_or_never_is_refused(lifetime: int) -> None:
    assert refused(made(lifetime_seconds=lifetime)) == "token-expired"


@pytest.mark.parametrize(
    "request_changes",
    [
        {"method": "GET"},
        {"method": "post"},
        {"target": "/v1/transactions"},
        {"target": "/v1/transactions?wait=2"},
        {"target": "/v1/transactions?wait=1&wait=1"},
        {"target": "/v1/transactions/?wait=1"},
        {"target": "/v1/x/../transactions?wait=1"},
        {"target": "/v1/ü"},
        {"body_sha256": hashlib.sha256(b"").digest()},
        {"body_sha256": b""},
    ],
)
def test_a_token_counts_for_its_request_alone(request_changes: dict[str, Any]) -> None:
    assert refused(made(), **request_changes) == "token-wrong-request"


def test_client_and_gateway_may_spell_a_target_differently() -> None:
    token = made(target="/v1/members/HospitalA%2fsilo?x=%7e")
    assert verified(token, target="/v1/members/HospitalA%2Fsilo?x=~") == SILO.certificate


# Trust


def test_an_organisation_cannot_speak_for_another() -> None:
    impostor = make_identity(make_issuer("HospitalB CA"), "consilo://HospitalA/silo/silo-1")
    assert refused(made(impostor)) == "token-untrusted"


def test_a_certificate_of_one_organisation_does_not_count_under_the_roots_of_another() -> None:
    issuer = make_issuer("HospitalB CA")
    impostor = make_identity(issuer, "consilo://HospitalA/silo/silo-1")
    roots = {"HospitalA": list(A.roots), "HospitalB": [issuer.der]}
    assert refused(made(impostor), roots_of=roots.get) == "token-untrusted"

    # ... nor when the token says it comes from the organisation whose roots would fit.
    header = {**HEADER, "x5c": [base64.b64encode(impostor.certificates[0]).decode()]}
    token = signed(header, {**LEGITIMATE, "iss": "HospitalB/silo-1"}, impostor.sign)
    assert refused(token, roots_of=roots.get) == "token-untrusted"


def test_a_member_cannot_speak_for_another_of_its_organisation() -> None:
    assert refused(signed(HEADER, {**LEGITIMATE, "iss": "HospitalA/silo-2"})) == "token-untrusted"


@pytest.mark.parametrize("roots", [None, [], ()])
def test_members_of_unknown_organisations_are_not_trusted(roots: Any) -> None:
    assert refused(made(), roots_of=lambda msp: roots) == "token-untrusted"


def test_an_expired_member_is_not_trusted() -> None:
    identity = A.issue("silo", "silo-1", now=NOW, validity_days=1)
    later = NOW + 2 * 24 * 60 * 60 * 1000
    assert refused(made(identity, now=later), now=later) == "token-untrusted"


def test_a_revoked_certificate_anywhere_in_the_chain_is_not_trusted() -> None:
    root = make_issuer()
    issuing = make_issuer("issuing", parent=root)
    identity = make_identity(issuing, intermediates=(issuing.der,))
    roots_of = {"HospitalA": [root.der]}.get
    chains = ChainCache()
    assert verified(made(identity), roots_of=roots_of, chains=chains) == identity.certificate
    for serial in (identity.certificate.serial, f"{issuing.certificate.serial_number:x}"):
        revoked = {("HospitalA", serial)}
        arguments = {"roots_of": roots_of, "is_revoked": lambda *key, revoked=revoked: key in revoked, "chains": chains}
        assert refused(made(identity), **arguments) == "token-untrusted"


def test_the_signature_is_the_members_over_these_very_bytes() -> None:
    token = made()
    head, claims, signature = token.split(".")
    other_head, other_claims, other_signature = made(A.issue("silo", "silo-1", now=NOW)).split(".")
    assert refused(f"{head}.{claims}.{other_signature}") == "token-untrusted"
    assert refused(f"{head}.{other_claims}.{signature}") == "token-untrusted"
    assert refused(f"{other_head}.{claims}.{signature}") == "token-untrusted"
    assert refused(f"{head}.{claims}.{signature[:-2]}") == "token-untrusted"
    assert refused(f"{head}.{claims}.{signature}AAAA") == "token-untrusted"


@pytest.mark.parametrize("signature", [b"\x00", bytes(64), b"\xff" * 64, bytes(63), bytes(128)])
def test_signatures_of_nothing_are_refused(signature: bytes) -> None:
    assert refused(signed(HEADER, LEGITIMATE, lambda message: signature)) == "token-untrusted"


def test_remembered_chains_change_no_answer() -> None:
    chains = ChainCache()
    for _ in range(2):
        assert verified(made(), chains=chains) == SILO.certificate
        head, claims, signature = made().split(".")
        forged = f"{head}.{claims}.{encode(bytes(64)).decode()}"
        assert len(signature) == len(forged.split(".")[2])
        assert refused(forged, chains=chains) == "token-untrusted"
        assert refused(signed(HEADER, {**LEGITIMATE, "iss": "HospitalA/x"}), chains=chains) == "token-untrusted"
    assert len(chains) == 1


# The header of HTTP


@pytest.mark.parametrize(
    "header", ["Consilo a.b.c", "consilo a.b.c", "Bearer a.b.c", "BEARER  a.b.c ", " Consilo a.b.c"]
)
def test_a_token_is_read_from_the_authorization_header(header: str) -> None:
    assert token_of(header) == "a.b.c"


def test_a_token_goes_into_the_header_and_comes_out_again() -> None:
    token = made()
    assert authorization(token) == f"Consilo {token}"
    assert token_of(authorization(token)) == token


@pytest.mark.parametrize("header", [None, "", " ", "Basic dTpw", "a.b.c", "Token a.b.c", "Consilo,a.b.c"])
def test_a_request_without_a_token_is_told_what_it_needs(header: str | None) -> None:
    with pytest.raises(TokenRefused, match="Authorization: Consilo <token>") as caught:
        token_of(header)
    assert caught.value.code == "token-missing"


@pytest.mark.parametrize(
    "header", ["Consilo", "Consilo ", "Consilo a.b", "Bearer a.b.c d.e.f", "Consilo a.b.c, x", "Consilo a.b.c\t"]
)
def test_a_header_with_something_else_is_malformed(header: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        token_of(header)
    assert caught.value.code == "token-malformed"
