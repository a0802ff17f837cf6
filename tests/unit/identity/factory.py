"""Certificates of any kind for tests, also those that no authority of the project issues. Generates keys; no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from consilo.identity.identity import Identity

NOW = 1_800_000_000_000
DAY = 24 * 60 * 60 * 1000

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Issuer:
    """A CA of any kind, with its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def make_issuer(
    name: str = "HospitalA CA",
    *,
    parent: Issuer | None = None,
    key: PrivateKey | None = None,
    ca: bool | None = True,
    path_length: int | None = None,
    start: int = NOW - DAY,
    end: int = NOW + 365 * DAY,
    subject: x509.Name | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Issuer:
    """A CA certificate; a root unless it has a parent. `ca=None` leaves BasicConstraints out."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, parent.certificate.subject if parent else subject, key, start, end)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if ca:
        builder = builder.add_extension(key_usage(key_cert_sign=True), critical=True)
    if parent is not None:
        builder = builder.add_extension(_authority_key(parent), critical=False)
    return Issuer(_sign(builder, extensions, parent.key if parent else key), key)


def make_leaf(
    issuer: Issuer,
    uri: str | None = "consilo://HospitalA/silo/silo-1",
    *,
    key: PrivateKey | None = None,
    names: Sequence[x509.GeneralName] | None = None,
    raw_names: bytes | None = None,
    usage: x509.KeyUsage | None = None,
    extended: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    start: int = NOW - DAY,
    end: int = NOW + 30 * DAY,
    serial: int | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A leaf in DER. `names` or `raw_names` (DER of the extension) take the place of the URI."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a member")])
    builder = _builder(subject, issuer.certificate.subject, key, start, end, serial)
    if raw_names is not None:
        raw = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, raw_names)
        builder = builder.add_extension(raw, critical=False)
    else:
        if names is None:
            names = [] if uri is None else [x509.UniformResourceIdentifier(uri)]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(usage or key_usage(digital_signature=True), critical=True)
    if extended is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([extended]), critical=False)
    builder = builder.add_extension(_authority_key(issuer), critical=False)
    return _sign(builder, extensions, issuer.key).public_bytes(Encoding.DER)


def make_identity(
    issuer: Issuer, uri: str = "consilo://HospitalA/silo/silo-1", intermediates: tuple[bytes, ...] = ()
) -> Identity:
    """A member that can sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Identity((make_leaf(issuer, uri, key=key), *intermediates), key)


def raw_uris(*uris: bytes) -> bytes:
    """DER of a subject alternative name with URIs of any bytes, each shorter than 100."""
    content = b"".join(b"\x86" + bytes([len(uri)]) + uri for uri in uris)
    assert len(content) < 128
    return b"\x30" + bytes([len(content)]) + content


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, start: int, end: int, serial: int | None = None
) -> x509.CertificateBuilder:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(epoch + timedelta(milliseconds=start))
        .not_valid_after(epoch + timedelta(milliseconds=end))
    )


def _authority_key(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _sign(
    builder: x509.CertificateBuilder, extensions: Sequence[tuple[x509.ExtensionType, bool]], key: PrivateKey
) -> x509.Certificate:
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
