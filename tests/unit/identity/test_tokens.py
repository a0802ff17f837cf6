"""What a request token is made of; whatever else is in it is refused."""

from __future__ import annotations

import base64
import hmac
import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from consilo.identity.errors import IdentityError
from consilo.identity.tokens import (
    MAX_TOKEN_BYTES,
    token_of,
)
from consilo.protocol.certificates import read_certificate
from tests.unit.identity.factory import NOW, make_identity, make_issuer, make_leaf
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


def test_a_token_tells_who_sent_the_request() -> None:
    assert verified(made()) == SILO.certificate
    assert verified(signed(HEADER, LEGITIMATE)) == SILO.certificate


def test_a_token_is_an_ordinary_jwt_to_other_libraries() -> None:
    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = MAX_TOKEN_BYTES
    token = jws.deserialize_compact(made(), ECKey.import_key(SILO.certificate.public_key), registry=registry)
    assert token.headers() == HEADER
    assert {**json.loads(token.payload or b""), "jti": "A" * 22} == LEGITIMATE


def test_a_token_made_by_another_library_is_accepted() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = make_issuer()
    leaf = make_leaf(issuer, key=key)
    registry = jws.JWSRegistry(algorithms=["ES256"])
    header = {**HEADER, "x5c": [base64.b64encode(leaf).decode()]}
    token = jws.serialize_compact(header, json.dumps(LEGITIMATE), ECKey.import_key(key), registry=registry)
    assert verified(token, roots_of={"HospitalA": [issuer.der]}.get) == read_certificate(leaf)


def test_every_token_is_another() -> None:
    assert made() != made()


def test_a_chain_with_an_intermediate_is_accepted() -> None:
    root = make_issuer()
    issuing = make_issuer("issuing", parent=root)
    identity = make_identity(issuing, intermediates=(issuing.der,))
    assert verified(made(identity), roots_of={"HospitalA": [root.der]}.get) == identity.certificate


# Form


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c\n",
        "ä.b.c",
        "a b.c.d",
        "e30.e30.",
        "e30=.e30.AA",
        "e31.e30.AA",
        "A.A.A",
    ],
)
def test_what_is_no_jwt_is_malformed(token: str) -> None:
    assert refused(token) == "token-malformed"


@pytest.mark.parametrize("name", ["alg", "typ", "x5c"])
def test_a_header_needs_all_its_parameters(name: str) -> None:
    header = {key: value for key, value in HEADER.items() if key != name}
    assert refused(signed(header, LEGITIMATE)) == "token-malformed"


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/chain"},
        {"jwk": {"kty": "EC"}},
        {"kid": "../../key"},
        {"x5t": "AA"},
        {"zip": "DEF"},
        {"unknown": 1},
    ],
)
def test_a_header_brings_nothing_else_along(extra: dict[str, Any]) -> None:
    assert refused(signed({**HEADER, **extra}, LEGITIMATE)) == "token-malformed"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", "RS256", "ES384", "es256", None, ["ES256"]])
def test_no_other_algorithm_counts(algorithm: Any) -> None:
    header = {**HEADER, "alg": algorithm}
    assert refused(signed(header, LEGITIMATE)) == "token-malformed"
    assert refused(signed(header, LEGITIMATE, lambda message: b"\x00")) == "token-malformed"


def test_the_public_key_is_no_shared_secret() -> None:
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.X962, PublicFormat.CompressedPoint),
    ):
        secret = SILO.certificate.public_key.public_bytes(encoding, form)
        token = signed(
            {**HEADER, "alg": "HS256"},
            LEGITIMATE,
            lambda message, secret=secret: hmac.new(secret, message, "sha256").digest(),  # type: ignore[misc]
        )
        assert refused(token) == "token-malformed"


def test_the_type_is_that_of_a_request() -> None:
    assert refused(signed({**HEADER, "typ": "JWT"}, LEGITIMATE)) == "token-malformed"


@pytest.mark.parametrize(
    "x5c",
    [
        [],
        HEADER["x5c"] * 5,
        HEADER["x5c"][0],
        {"0": HEADER["x5c"][0]},
        [1],
        [None],
        ["ä"],
        [HEADER["x5c"][0] + "\n"],
        [HEADER["x5c"][0] + "===="],
        [encode(SILO.certificates[0]).decode() + "-_"],
    ],
)
def test_certificates_come_as_a_list_of_canonical_base64(x5c: Any) -> None:
    assert refused(signed({**HEADER, "x5c": x5c}, LEGITIMATE)) == "token-malformed"


def test_a_certificate_has_one_spelling_in_base64() -> None:
    members = (A.issue("silo", "silo-1", now=NOW) for _ in range(200))
    member = next(member for member in members if len(member.certificates[0]) % 3 == 1)
    text = base64.b64encode(member.certificates[0]).decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = text[:-3] + alphabet[alphabet.index(text[-3]) + 1] + "=="
    assert base64.b64decode(twin, validate=True) == member.certificates[0]
    assert verified(signed({**HEADER, "x5c": [text]}, LEGITIMATE, member.sign)) == member.certificate
    assert refused(signed({**HEADER, "x5c": [twin]}, LEGITIMATE, member.sign)) == "token-malformed"


@pytest.mark.parametrize("name", sorted(LEGITIMATE))
def test_every_claim_is_needed_and_of_its_type(name: str) -> None:
    without = {key: value for key, value in LEGITIMATE.items() if key != name}
    assert refused(signed(HEADER, without)) == "token-malformed"
    wrong: list[Any] = [None, True, [LEGITIMATE[name]], {}, "", -1, 2**60]
    for value in wrong:
        assert refused(signed(HEADER, {**LEGITIMATE, name: value})) in {"token-malformed", "token-wrong-request"}


def test_numbers_of_seconds_are_integers() -> None:
    assert refused(signed(HEADER, {**LEGITIMATE, "exp": NOW / 1000 + 60.5})) == "token-malformed"
    assert refused(signed(HEADER, {**LEGITIMATE, "exp": str(LEGITIMATE["exp"])})) == "token-malformed"


def test_unknown_claims_are_refused() -> None:
    assert refused(signed(HEADER, {**LEGITIMATE, "role": "operator"})) == "token-malformed"


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (json.dumps(HEADER)[:-1].encode() + b',"alg":"ES256"}', LEGITIMATE),
        (b'{"alg":"none",' + json.dumps(HEADER)[1:].encode(), LEGITIMATE),
        (HEADER, b'{"iss":"HospitalB/x",' + json.dumps(LEGITIMATE)[1:].encode()),
        (HEADER, json.dumps(LEGITIMATE).encode() + b" {}"),
        (HEADER, b"[" * 6000),
        (HEADER, b'{"iat":NaN}'),
        (HEADER, b"\xff"),
        (HEADER, b"[]"),
        (b"[]", LEGITIMATE),
        (b"null", LEGITIMATE),
        (b"[" * 6000, LEGITIMATE),
    ],
)
def test_json_is_strict_and_holds_no_key_twice(header: Any, claims: Any) -> None:
    assert refused(signed(header, claims)) == "token-malformed"


def test_a_huge_token_is_refused_before_it_is_read() -> None:
    assert refused("a.b." + "c" * MAX_TOKEN_BYTES) == "token-malformed"
    assert refused(made(), max_token_bytes=100) == "token-malformed"


def test_a_token_that_no_gateway_would_read_is_not_made() -> None:
    with pytest.raises(ValueError, match="target"):
        made(target="/" + "a" * 8000 + "%20" * 2000)
    with pytest.raises(ValueError, match="more than 16384"):
        made(make_identity(make_issuer(), intermediates=(bytes(9000),)), target="/" + "a" * 8000)


# Any bytes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: f"{encode(data).decode()}.e30.AA"))
@example(f"{encode(b'[' * 5000).decode()}.e30.AA")
def test_no_text_raises_anything_but_the_packages_errors(token: str) -> None:
    with suppress(IdentityError):
        token_of(f"Consilo {token}")
    with pytest.raises(IdentityError):
        verified(token)


@given(
    st.dictionaries(st.sampled_from(sorted(HEADER)), json_values, max_size=2),
    st.dictionaries(st.sampled_from(sorted(LEGITIMATE)), json_values, max_size=2),
    st.binary(max_size=80),
)
def test_no_signed_content_raises_anything_but_the_packages_errors(
    header: dict[str, Any], claims: dict[str, Any], certificate: bytes
) -> None:
    with suppress(IdentityError):
        verified(signed({**HEADER, **header}, {**LEGITIMATE, **claims}))
    with pytest.raises(IdentityError):
        verified(signed({**HEADER, "x5c": [base64.b64encode(certificate).decode()]}, LEGITIMATE))


@given(st.integers(0, 4000), st.characters(codec="utf-8"))
def test_no_changed_letter_of_a_token_is_accepted_as_another_request(position: int, letter: str) -> None:
    token = signed(HEADER, LEGITIMATE)
    position %= len(token)
    changed = token[:position] + letter + token[position + 1 :]
    if changed != token:
        with pytest.raises(IdentityError):
            verified(changed)
