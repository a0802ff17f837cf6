"""Request tokens: what proves to an organisation's gateway which member sent a request. No I/O, no clock.

A token is a JWT (RFC 7519) signed with ES256, made for one request and valid for a minute:

    header  alg ES256, typ consilo-request+jwt, x5c: the member's certificates (RFC 7515, section 4.1.6)
    claims  iss: member, aud: MSP id of the gateway's organisation, iat, exp, jti: random,
            htm: method, htu: path and query, bsh: base64url of the body's SHA-256

Nothing else may stand in it: no other algorithm, no `crit`, no key that it brings along or points to. It is bound to
method, path, query and body, so whoever sees it can at most repeat that very request while it is valid.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode
from pydantic import Field, ValidationError

from consilo.identity.chains import ChainCache
from consilo.identity.errors import TokenRefused
from consilo.identity.identity import Identity
from consilo.identity.targets import canonical_target
from consilo.protocol.canonical import parse
from consilo.protocol.certificates import (
    MAX_CERTIFICATES,
    CertificateError,
    MemberCertificate,
    certificate_serial,
    verify_chain,
)
from consilo.protocol.model import Record
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.values import Member, Milliseconds, Msp

TOKEN_TYPE: Final = "consilo-request+jwt"  # noqa: S105  a media type
ALGORITHM: Final = "ES256"
MAX_TOKEN_BYTES: Final = 16 * 1024
"""Bytes of a token: servers commonly read no longer header."""
DEFAULT_LIFETIME_SECONDS: Final = 60
DEFAULT_MAX_LIFETIME_SECONDS: Final = 120
DEFAULT_LEEWAY_SECONDS: Final = 30
"""By how much the clocks of member and gateway may differ."""

_SCHEMES: Final = ("consilo", "bearer")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER_NAMES: Final = {"alg", "typ", "x5c"}


class _Registry(jws.JWSRegistry):
    """joserfc's limit for headers is meant for headers without certificates."""

    max_header_length = MAX_TOKEN_BYTES


_REGISTRY: Final = _Registry(algorithms=[ALGORITHM])


class _Claims(Record):
    iss: Member
    aud: Msp
    iat: Milliseconds = Field(description="seconds")
    exp: Milliseconds = Field(description="seconds")
    jti: str = Field(pattern=r"^[A-Za-z0-9_\-]{16,64}\z")
    htm: str = Field(pattern=r"^[A-Z]{1,16}\z")
    htu: str = Field(max_length=MAX_TOKEN_BYTES)
    bsh: str = Field(pattern=r"^[A-Za-z0-9_\-]{43}\z")


def request_token(
    identity: Identity,
    *,
    audience: str,
    method: str,
    target: str,
    body: bytes,
    now: int,
    lifetime_seconds: int = DEFAULT_LIFETIME_SECONDS,
) -> str:
    """Make the token of one request.

    Args:
        identity: who sends it.
        audience: MSP id of the organisation whose gateway gets it.
        method: of HTTP, e.g. `GET`.
        target: path and query as they are sent, e.g. `/v1/runs?status=active`.
        body: of the request; empty when there is none.
        now: milliseconds since the epoch.
        lifetime_seconds: how long it is valid.

    Raises:
        ValueError: the target is no path and query, or the token would be longer than `MAX_TOKEN_BYTES`.
    """
    header = {
        "alg": ALGORITHM,
        "typ": TOKEN_TYPE,
        "x5c": [base64.b64encode(der).decode() for der in identity.certificates],
    }
    claims = {
        "iss": identity.member,
        "aud": audience,
        "iat": now // 1000,
        "exp": now // 1000 + lifetime_seconds,
        "jti": secrets.token_urlsafe(16),
        "htm": method.upper(),
        "htu": canonical_target(target),
        "bsh": body_hash(hashlib.sha256(body).digest()),
    }
    # Put together here, so that the private key stays within the identity.
    signed = b".".join(urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    token = signed + b"." + urlsafe_b64encode(identity.sign(signed))
    if len(token) > MAX_TOKEN_BYTES:
        raise ValueError(
            f"the token has {len(token)} bytes, more than {MAX_TOKEN_BYTES}: certificates or target too long"
        )
    return token.decode()


def verify_request_token(
    token: str,
    *,
    audiences: Collection[str],
    method: str,
    target: str,
    body_sha256: bytes,
    roots_of: Callable[[str], Sequence[bytes] | None],
    is_revoked: Callable[[str, str], bool],
    now: int,
    leeway_seconds: int = DEFAULT_LEEWAY_SECONDS,
    max_lifetime_seconds: int = DEFAULT_MAX_LIFETIME_SECONDS,
    max_token_bytes: int = MAX_TOKEN_BYTES,
    chains: ChainCache | None = None,
) -> MemberCertificate:
    """Find out which member sent a request.

    The steps, cheap ones first; each must hold:

    1. The form: size, three parts in strict base64url, strict JSON, exactly the header's and claims' names and types.
    2. The audience is one of ours.
    3. The time is within the token's, which is not longer than allowed.
    4. Method, target and body are those of the request.
    5. The certificates lead to the roots of the organisation that `iss` names, and to no other's.
    6. The leaf is the member that `iss` names; no certificate of its chain is revoked.
    7. The signature is that member's.

    Args:
        token: from `token_of`.
        audiences: MSP ids that this gateway answers for.
        method: of the request.
        target: path and query as they came, still percent-encoded.
        body_sha256: SHA-256 of the body, 32 bytes.
        roots_of: the roots (DER) of an organisation by its MSP id; None if it is not registered.
        is_revoked: whether an organisation (MSP id) has revoked a serial number.
        now: milliseconds since the epoch.
        leeway_seconds: by how much the clocks may differ.
        max_lifetime_seconds: longest life of a token that is accepted.
        max_token_bytes: size of a token that is accepted, at most `MAX_TOKEN_BYTES`.
        chains: remembers verified chains; without it every call verifies the chain anew.

    Returns:
        The member's certificate.

    Raises:
        TokenRefused: `token-malformed`, `token-wrong-audience`, `token-expired` (or not yet valid),
            `token-wrong-request`, `token-untrusted`.
    """
    certificates, claims = _read(token, max_token_bytes)
    if claims.aud not in audiences:
        raise TokenRefused("token-wrong-audience", "the token was made for another organisation's gateway")
    _check_time(claims, now, leeway_seconds, max_lifetime_seconds)
    _check_request(claims, method, target, body_sha256)
    member = _check_chain(claims, certificates, roots_of, now, chains, is_revoked)
    try:
        jws.deserialize_compact(token, ECKey.import_key(member.public_key), registry=_REGISTRY)
    except (JoseError, ValueError) as error:
        raise TokenRefused("token-untrusted", "the token's signature is not the member's") from error
    return member


def claimed_chain(token: str) -> tuple[str, tuple[str, ...]]:
    """What a token claims and does not prove: its member's organisation (MSP id), its certificates' serial numbers.

    Raises:
        TokenRefused: `token-malformed`; `token-untrusted` when a certificate cannot be read.
    """
    certificates, claims = _read(token, MAX_TOKEN_BYTES)
    try:
        return claims.iss.partition("/")[0], tuple(certificate_serial(der) for der in certificates)
    except CertificateError as error:
        raise TokenRefused("token-untrusted", f"the member's certificates ({error.code}): {error.message}") from error


def authorization(token: str) -> str:
    """The value of the `Authorization` header that carries a token."""
    return f"Consilo {token}"


def token_of(header: str | None) -> str:
    """The token in an `Authorization` header: `Consilo <token>` or `Bearer <token>`.

    Raises:
        TokenRefused: `token-missing` when there is no header or one of another scheme; `token-malformed`.
    """
    scheme, _, token = (header or "").strip(" ").partition(" ")
    if scheme.lower() not in _SCHEMES:
        raise TokenRefused("token-missing", "the request needs the header `Authorization: Consilo <token>`")
    return _well_formed(token.strip(" "), MAX_TOKEN_BYTES)


def body_hash(body_sha256: bytes) -> str:
    """The claim `bsh`: base64url without padding of a SHA-256 (32 bytes)."""
    return urlsafe_b64encode(body_sha256).decode()


def _well_formed(token: str, max_bytes: int) -> str:
    if len(token) > min(max_bytes, MAX_TOKEN_BYTES) or _TOKEN.fullmatch(token) is None:
        raise _malformed(f"a token is a JWT in compact form of at most {min(max_bytes, MAX_TOKEN_BYTES)} bytes")
    return token


def _read(token: str, max_bytes: int) -> tuple[list[bytes], _Claims]:
    try:
        header, claims = (
            parse(urlsafe_b64decode(part.encode("ascii"))) for part in _well_formed(token, max_bytes).split(".")[:2]
        )
    except (InvalidInput, ValueError) as error:
        raise _malformed("header and claims must be strict JSON in base64url") from error
    if not isinstance(header, dict) or set(header) != _HEADER_NAMES:
        raise _malformed(f"the header holds exactly {', '.join(sorted(_HEADER_NAMES))}")
    if header["alg"] != ALGORITHM or header["typ"] != TOKEN_TYPE:
        raise _malformed(f"the token must be signed with {ALGORITHM} and be of the type {TOKEN_TYPE}")
    try:
        return _certificates(header["x5c"]), _Claims.model_validate(claims)
    except ValidationError as error:
        names = sorted({str(detail["loc"][0]) if detail["loc"] else "claims" for detail in error.errors()})
        raise _malformed(f"missing, unknown or wrong among the claims: {', '.join(names)[:200]}") from None


def _certificates(x5c: Any) -> list[bytes]:
    if not isinstance(x5c, list) or not 1 <= len(x5c) <= MAX_CERTIFICATES:
        raise _malformed(f"x5c must be a list of 1 to {MAX_CERTIFICATES} certificates")
    try:
        certificates = [base64.b64decode(text.encode("ascii"), validate=True) for text in x5c]
    except (AttributeError, ValueError):  # an entry that is no string, is not ASCII, or not base64
        raise _malformed("x5c must hold certificates as base64 of DER") from None
    if [base64.b64encode(der).decode() for der in certificates] != x5c:
        raise _malformed("x5c must hold certificates in the one canonical base64 of their DER")
    return certificates


def _check_time(claims: _Claims, now: int, leeway_seconds: int, max_lifetime_seconds: int) -> None:
    if not 0 < claims.exp - claims.iat <= max_lifetime_seconds:
        raise TokenRefused("token-expired", f"a token may be valid for 1 to {max_lifetime_seconds} seconds")
    if now < (claims.iat - leeway_seconds) * 1000:
        raise TokenRefused("token-expired", "the token is not valid yet; check the clocks of member and gateway")
    if now >= (claims.exp + leeway_seconds) * 1000:
        raise TokenRefused("token-expired", "the token is no longer valid; make a new one for each request")


def _check_request(claims: _Claims, method: str, target: str, body_sha256: bytes) -> None:
    try:
        same_target = claims.htu == canonical_target(target)
    except ValueError as error:
        raise TokenRefused("token-wrong-request", f"the request's target: {error}") from None
    if claims.htm != method or not same_target:
        raise TokenRefused("token-wrong-request", "the token was made for another method, path or query")
    if claims.bsh != body_hash(body_sha256):
        raise TokenRefused("token-wrong-request", "the token was made for another body")


def _check_chain(
    claims: _Claims,
    certificates: list[bytes],
    roots_of: Callable[[str], Sequence[bytes] | None],
    now: int,
    chains: ChainCache | None,
    is_revoked: Callable[[str, str], bool],
) -> MemberCertificate:
    msp = claims.iss.partition("/")[0]
    roots = roots_of(msp)
    if not roots:
        raise TokenRefused("token-untrusted", f"the organisation {msp} is not registered")
    try:
        chain = (verify_chain if chains is None else chains.verify)(certificates, roots, now)
    except CertificateError as error:
        raise TokenRefused("token-untrusted", f"the member's certificates ({error.code}): {error.message}") from error
    if chain.member.member != claims.iss:
        raise TokenRefused("token-untrusted", "the certificate is not that of the member in `iss`")
    if any(is_revoked(msp, serial) for serial in chain.serials):
        raise TokenRefused("token-untrusted", "a certificate of the member's chain was revoked")
    return chain.member


def _malformed(message: str) -> TokenRefused:
    return TokenRefused("token-malformed", message)
