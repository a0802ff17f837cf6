"""Chains of certificates and signatures as Fabric checks them, which is as Go's x509 does. Pure; no I/O.

No clock is read: a chain counts if it was valid one second after the start of the certificate that it is for.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

ORDERS: Final = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
}
"""The curves that a signer's key may be on, and their orders."""

MALFORMED: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
"""What reading a certificate, or anything in it, may raise."""

_LONGEST_CHAIN: Final = 10


def chains(
    certificate: x509.Certificate, roots: Sequence[x509.Certificate], intermediates: Sequence[x509.Certificate]
) -> list[list[x509.Certificate]]:
    """All ways from a certificate's issuer to a root; none from a certificate that cannot be read."""
    try:
        moment = certificate.not_valid_before_utc + datetime.timedelta(seconds=1)
        return _chains([certificate], roots, intermediates, moment)
    except (OverflowError, *MALFORMED):
        return []


def verify(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Whether this is a signature by a key: ECDSA over SHA-256, in DER, with the lower value of s."""
    if signature[:1] == b"\x30" and len(signature) > 1 and signature[1] < 0x80:
        signature = signature[: 2 + signature[1]]  # Fabric reads nothing after the end
    try:
        _, s = decode_dss_signature(signature)
        if s > ORDERS[key.curve.name] // 2:
            return False
        key.verify(signature, data, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over what the issuer signed, hexadecimal: the same for all spellings of the issuer's signature."""
    return hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()


def certifiers_identifier(chain: Sequence[x509.Certificate]) -> bytes:
    """SHA-256 over the certificates of a chain: how Fabric names those who certify."""
    return hashlib.sha256(b"".join(each.public_bytes(Encoding.DER) for each in chain)).digest()


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it is a CA's."""
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and bool(constraints.ca)


def read_authority(pem: bytes) -> x509.Certificate:
    """A CA's certificate.

    Raises:
        ValueError: it is none, or one with name constraints, which are not known here.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    if not is_authority(certificate):
        raise ValueError("the certificate of a CA is not one")
    if _extension(certificate, x509.NameConstraints) is not None:
        raise ValueError("a CA has name constraints, which are not known here")
    return certificate


def read_revocations(data: bytes) -> x509.CertificateRevocationList:
    """A revocation list, in PEM or DER.

    Raises:
        ValueError: it is none.
    """
    pem = data.lstrip().startswith(b"-----BEGIN")
    return x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data)


def revokes(issuer: x509.Certificate, revocations: x509.CertificateRevocationList, serial_number: int) -> bool:
    """Whether a list has a serial number, and is the issuer's: by the identifiers of its key, and by its signature."""
    if revocations.get_revoked_certificate_by_serial_number(serial_number) is None:
        return False
    try:
        named = revocations.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        key: Any = issuer.public_key()
        return named == own and revocations.is_signature_valid(key)
    except (x509.ExtensionNotFound, *MALFORMED):
        return False


def _chains(
    path: list[x509.Certificate],
    roots: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    moment: datetime.datetime,
) -> list[list[x509.Certificate]]:
    """All ways on from the end of a path."""
    if len(path) > _LONGEST_CHAIN or not _counts(path[-1], moment):
        return []
    found = [[issuer] for issuer in roots if _issued(issuer, path, moment)]
    for issuer in intermediates:
        if issuer not in path and _issued(issuer, path, moment):
            found += [[issuer, *rest] for rest in _chains([*path, issuer], roots, intermediates, moment)]
    return found


def _issued(issuer: x509.Certificate, path: list[x509.Certificate], moment: datetime.datetime) -> bool:
    """Whether a CA issued the certificate at the end of a path."""
    if issuer.subject != path[-1].issuer or not _counts(issuer, moment):
        return False
    constraints = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    # Between the issuer and the certificate that the path is for stand the CAs of the path but its first.
    if constraints is None or (constraints.path_length is not None and len(path) - 1 > constraints.path_length):
        return False
    if usage is not None and not usage.key_cert_sign:
        return False
    try:
        path[-1].verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    return True


def _counts(certificate: x509.Certificate, moment: datetime.datetime) -> bool:
    """Whether a certificate of a chain can be used then, and for what Fabric uses it."""
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        return False
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            return False
    usages = _extension(certificate, x509.ExtendedKeyUsage)
    # Where extended usages are named, Go asks for that of servers unless told otherwise, and Fabric does not tell.
    wanted = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return usages is None or bool(wanted & set(usages))


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
