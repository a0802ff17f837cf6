"""Members of a simulated consortium: real keys and certificates, each made once per process when first asked for.

`label` tells apart several certificates of one member, or several CAs that go by one organisation's name.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.certificates import ROLES
from consilo.protocol.values import Role, organisation_of

START_MS: Final = 1_750_000_000_000
"""When simulations start, milliseconds since the epoch."""

_DAY_MS: Final = 24 * 3_600_000
_CREATED_MS: Final = START_MS - 500 * _DAY_MS


@cache
def authority(msp: str, label: str = "") -> Authority:
    """The CA of an organisation; with a label, another CA of the same name."""
    return Authority.create(msp, now=_CREATED_MS)


def role_of(member: str) -> Role:
    """The role that a member's name tells: `silo-2` is a silo; `auditor` is a viewer."""
    word = member.split("/", 1)[1].split("-")[0]
    return next((role for role in ROLES if role == word), "viewer")


@cache
def identity(member: str, role: Role | None = None, label: str = "") -> Identity:
    """A member whose certificate is valid in the simulation."""
    return _issue(authority(organisation_of(member)), member, role, now=START_MS - 20 * _DAY_MS)


@cache
def expired_identity(member: str) -> Identity:
    """A member whose certificate ran out before the simulation starts."""
    return _issue(authority(organisation_of(member)), member, None, now=_CREATED_MS)


@cache
def early_identity(member: str) -> Identity:
    """A member whose certificate is valid from a day after the simulation starts."""
    return _issue(authority(organisation_of(member)), member, None, now=START_MS + _DAY_MS)


@cache
def impostor_identity(member: str) -> Identity:
    """A member's name, certified by a CA that only says that it is the organisation's."""
    return _issue(authority(organisation_of(member), "impostor"), member, None, now=START_MS)


@cache
def nameless_certificate(msp: str) -> bytes:
    """A certificate (DER) by the organisation's CA that names no member and role."""
    issuer = authority(msp)
    own = x509.load_der_x509_certificate(issuer.certificates[0])
    start = datetime.fromtimestamp(START_MS / 1000, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")]))
        .issuer_name(own.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=1))
        .sign(issuer._key, SHA256())
        .public_bytes(Encoding.DER)
    )


def _issue(issuer: Authority, member: str, role: Role | None, *, now: int) -> Identity:
    return issuer.issue(role or role_of(member), member.split("/", 1)[1], now=now)
