"""Certificates of members: reading one, proving that it leads to an organisation's roots, checking a signature.

Pure and deterministic: no I/O, no clock, no trust store of the system. The same bytes and the same time give the same
answer on every machine, because every endorser of a transaction must come to it.

A member's certificate is an X.509 certificate of an elliptic curve key (P-256) that is no CA's, with exactly one URI
among its subject alternative names: `consilo://<msp>/<role>/<name>`.

The name in a certificate proves nothing by itself. Whoever verifies a chain must pass the roots of the organisation
that the leaf claims (`read_certificate(...).msp`), and of no other: then no organisation can name another's members.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar, cast, get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from consilo.protocol.errors import ProtocolError
from consilo.protocol.values import MSP_PATTERN, NAME_PATTERN, Role

MAX_CERTIFICATES: Final = 4  # in a chain without its root: the leaf and up to three intermediates
MAX_CERTIFICATE_BYTES: Final = 4096  # in DER
MAX_ROOTS: Final = 16  # of one organisation
SIGNATURE_BYTES: Final = 64  # r and s, 32 each, big-endian, as in JWS (RFC 7518, section 3.4)

ROLES: Final[tuple[Role, ...]] = get_args(Role)
# FIPS 186-4, D.1.2.3
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_MEMBER_URI: Final = re.compile(rf"consilo://({MSP_PATTERN})/({'|'.join(ROLES)})/({NAME_PATTERN})")
_EPOCH: Final = datetime(1970, 1, 1)  # naive UTC, as x509.verification takes it
_Value = TypeVar("_Value")
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
# The parser is lazy: each of these can come from reading a property of a certificate that was loaded without an error.
# The warning is an error where warnings are, and cryptography announces that it will be one everywhere.
_PARSE_ERRORS: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)


class CertificateError(ProtocolError):
    """A certificate, chain or signature that does not count; `message` is the same on every machine.

    `code` is `certificate-malformed`, `certificate-untrusted`, `certificate-expired`, `certificate-role-missing` or
    `signature-invalid`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class MemberCertificate:
    """What a member's certificate says. By itself no proof: see `verify_chain`.

    Attributes:
        msp, name, role: of the member's organisation; of the member within it; what the member may do.
        member: the member's id, `<msp>/<name>`.
        serial: serial number, lower-case hexadecimal without leading zeros.
        fingerprint: SHA-256 of the certificate in DER, lower-case hexadecimal.
        not_before, not_after: first and last millisecond since the epoch at which it is valid.
        public_key: the member's key, P-256.
    """

    msp: str
    name: str
    role: Role
    member: str
    serial: str
    fingerprint: str
    not_before: int
    not_after: int
    public_key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)


@dataclass(frozen=True)
class VerifiedChain:
    """A chain that led to one of the roots.

    Attributes:
        member: the leaf.
        serials: serial numbers of all certificates of the path but the root, leaf first. None of them may be revoked.
        not_before, not_after: first and last millisecond since the epoch at which path and root are all valid.
    """

    member: MemberCertificate
    serials: tuple[str, ...]
    not_before: int
    not_after: int


def read_certificate(der: bytes) -> MemberCertificate:
    """Read a member's certificate (DER, at most `MAX_CERTIFICATE_BYTES`), without trusting it.

    Raises:
        CertificateError: `certificate-malformed`, or `certificate-role-missing` when it names no member.
    """
    return _read_leaf(_load(der), der)


def verify_chain(certificates: Sequence[bytes], roots: Sequence[bytes], time: int) -> VerifiedChain:
    """Prove that a member's certificate was issued under an organisation's roots and was valid at a time.

    The steps, each of which must hold:

    1. There are 1 to `MAX_CERTIFICATES` certificates, each readable, and the roots pass `check_roots`.
    2. The leaf is a member's certificate; the others are CA certificates of P-256 or P-384 keys.
    3. All are valid at the time, and so is at least one root.
    4. A path from the leaf to a valid root exists by the rules of RFC 5280 for a client's certificate: signatures,
       names, key usages, path lengths, name constraints, no unknown critical extension.
    5. That path is exactly the given certificates in the given order; nothing is left over, the leaf is no root itself.

    Args:
        certificates: DER; the leaf, then the intermediates, each issued by the next; without the root.
        roots: DER; the CA certificates of the organisation that the leaf claims.
        time: milliseconds since the epoch.

    Raises:
        CertificateError: `certificate-malformed`, `certificate-role-missing`, `certificate-expired` (or not yet valid),
            `certificate-untrusted`.
    """
    if not 1 <= len(certificates) <= MAX_CERTIFICATES:
        raise _malformed(f"{len(certificates)} certificates; a chain has 1 to {MAX_CERTIFICATES}")
    anchors = _load_roots(roots)
    path = [_load(der) for der in certificates]
    member = _read_leaf(path[0], certificates[0])
    for issuer in path[1:]:
        _check_authority(issuer, "an intermediate certificate")

    valid_anchors = [anchor for anchor in anchors if _is_valid(anchor, time)]
    if not valid_anchors or not all(_is_valid(certificate, time) for certificate in path):
        message = "a certificate of the chain, or every root of the organisation, is not valid at this time"
        raise CertificateError("certificate-expired", message)

    # The library counts the root as well; whole seconds, since that is what certificates are dated in.
    moment = _EPOCH + timedelta(seconds=time // 1000)
    policy = PolicyBuilder().store(Store(valid_anchors)).time(moment).max_chain_depth(MAX_CERTIFICATES)
    try:
        verified = policy.build_client_verifier().verify(path[0], path[1:]).chain
    except (VerificationError, *_PARSE_ERRORS) as error:
        # Not the library's words: they may differ from version to version, and endorsers must agree.
        raise CertificateError("certificate-untrusted", "no path to a root of the organisation") from error
    if verified[:-1] != path:
        message = "the certificates are not the path to the root: the leaf, then each one's issuer, without the root"
        raise CertificateError("certificate-untrusted", message)
    starts, ends = zip(*(_validity(certificate) for certificate in verified), strict=True)
    return VerifiedChain(member, tuple(_serial(certificate) for certificate in path), max(starts), min(ends))


def verify_signature(certificate: MemberCertificate, signature: bytes, message: bytes) -> None:
    """Check a member's signature: ECDSA on P-256 with SHA-256.

    Of the two values of s that verify equally, only the lower one counts, so that nobody on the way can change a byte
    of what a member signed.

    The certificate must come from a verified chain; the signature is r and s, 32 bytes each, big-endian.

    Raises:
        CertificateError: `signature-invalid`.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise CertificateError("signature-invalid", f"the signature has {len(signature)} bytes, not {SIGNATURE_BYTES}")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > P256_ORDER // 2:
        raise CertificateError("signature-invalid", "s is in the upper half of its range; the signer must negate it")
    try:
        certificate.public_key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise CertificateError("signature-invalid", "the signature is not the member's over these bytes") from None


def certificate_serial(der: bytes) -> str:
    """Serial number (hex) of any certificate. Raises `CertificateError`: `certificate-malformed`."""
    return _serial(_load(der))


def check_roots(roots: Sequence[bytes]) -> None:
    """Check that roots (DER) can serve an organisation: 1 to `MAX_ROOTS` different CA certificates, P-256 or P-384.

    Raises:
        CertificateError: `certificate-malformed`.
    """
    _load_roots(roots)


def roots_digest(roots: Sequence[bytes]) -> str:
    """Digest of a set of roots, whatever their order: SHA-256 (hex) over the sorted SHA-256 digests of their DER."""
    return hashlib.sha256(b"".join(sorted({hashlib.sha256(der).digest() for der in roots}))).hexdigest()


def _load(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise _malformed(f"a certificate of {len(der)} bytes; at most {MAX_CERTIFICATE_BYTES} are read")
    return _reading(lambda: x509.load_der_x509_certificate(der))


def _load_roots(roots: Sequence[bytes]) -> list[x509.Certificate]:
    if not 1 <= len(roots) <= MAX_ROOTS:
        raise _malformed(f"{len(roots)} roots; an organisation has 1 to {MAX_ROOTS}")
    if len(set(roots)) != len(roots):
        raise _malformed("a root stands twice among the organisation's roots")
    anchors = [_load(der) for der in roots]
    for anchor in anchors:
        _check_authority(anchor, "a root")
    return anchors


def _read_leaf(certificate: x509.Certificate, der: bytes) -> MemberCertificate:
    key = _reading(certificate.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _malformed("the key of a member must be an elliptic curve key on P-256")
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise _malformed("a CA certificate is no member's certificate")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise _malformed("the certificate's key usage does not allow signatures")

    names = _extension(certificate, x509.SubjectAlternativeName)
    uris = [] if names is None else _reading(lambda: names.get_values_for_type(x509.UniformResourceIdentifier))
    match = _MEMBER_URI.fullmatch(uris[0]) if len(uris) == 1 else None
    if match is None:
        message = "the certificate needs exactly one URI as subject alternative name: consilo://<msp>/<role>/<name>"
        raise CertificateError("certificate-role-missing", message)
    msp, role, name = match.groups()
    not_before, not_after = _validity(certificate)
    return MemberCertificate(
        msp=msp,
        name=name,
        role=cast(Role, role),
        member=f"{msp}/{name}",
        serial=_serial(certificate),
        fingerprint=hashlib.sha256(der).hexdigest(),
        not_before=not_before,
        not_after=not_after,
        public_key=key,
    )


def _check_authority(certificate: x509.Certificate, what: str) -> None:
    key = _reading(certificate.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        raise _malformed(f"the key of {what} must be on the curve P-256 or P-384")
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise _malformed(f"{what} is not a CA certificate")
    _serial(certificate)
    _validity(certificate)


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    extensions = _reading(lambda: certificate.extensions)
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _serial(certificate: x509.Certificate) -> str:
    serial = _reading(lambda: certificate.serial_number)
    if serial <= 0:
        raise _malformed("the serial number is not positive")
    return f"{serial:x}"


def _validity(certificate: x509.Certificate) -> tuple[int, int]:
    """First and last millisecond of validity, both included."""
    start, end = _reading(lambda: (certificate.not_valid_before_utc, certificate.not_valid_after_utc))
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000


def _malformed(message: str) -> CertificateError:
    return CertificateError("certificate-malformed", message)


def _is_valid(certificate: x509.Certificate, time: int) -> bool:
    start, end = _validity(certificate)
    return start <= time <= end


def _reading(read: Callable[[], _Value]) -> _Value:
    try:
        return read()
    except _PARSE_ERRORS as error:
        raise _malformed("not a certificate in DER that can be read") from error
