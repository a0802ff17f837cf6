"""An organisation's certificate authority: makes its root, issues the certificates of its members.

No clock: every function takes the time. `Authority.save` and `Authority.load` read and write files, the rest does no
I/O. An authority of another make serves as well, if its certificates are what `consilo.protocol.certificates` demands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from consilo.identity import files
from consilo.identity.errors import AuthorityError, IdentityFileError
from consilo.identity.identity import Identity
from consilo.protocol.certificates import CertificateError, check_roots, read_certificate
from consilo.protocol.values import MSP_PATTERN, NAME_PATTERN, Role

BACKDATE_SECONDS: Final = 300
"""How long before its issue a certificate is valid by default, for machines whose clocks are behind."""
AUTHORITY_VALIDITY_DAYS: Final = 3650
MEMBER_VALIDITY_DAYS: Final = 365
MAX_VALIDITY_DAYS: Final = 36500

_KEY_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Authority:
    """An organisation's CA with its private key.

    Attributes:
        msp: MSP id of the organisation: the organisation in the subject of its certificate.
        certificates: DER; its own certificate first, the organisation's root last; often both are one.
    """

    msp: str
    certificates: tuple[bytes, ...]
    _key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @classmethod
    def create(
        cls,
        msp: str,
        *,
        now: int,
        validity_days: int = AUTHORITY_VALIDITY_DAYS,
        backdate_seconds: int = BACKDATE_SECONDS,
    ) -> Authority:
        """Make a root: a new P-256 key and its certificate, signed by itself, for member certificates only.

        Args:
            msp: MSP id of the organisation.
            now: milliseconds since the epoch.
            validity_days: for how many days from now it is valid.
            backdate_seconds: for how long before now it is valid too.

        Raises:
            AuthorityError: `name-invalid`, `validity-invalid`.
        """
        if re.fullmatch(MSP_PATTERN, msp) is None:
            raise AuthorityError("name-invalid", f"{msp!r} is no MSP id: letters, digits, dots and hyphens, at most 64")
        start, end = _window(now, validity_days, backdate_seconds)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"{msp} CA"[:64], msp)
        builder = (
            _builder(name, name, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(msp, (builder.sign(key, SHA256()).public_bytes(Encoding.DER),), key)

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """Read an authority from its directory (see `consilo.identity.files`).

        Raises:
            IdentityFileError: the files are missing, cannot be read, or do not belong together.
        """
        path = directory / files.AUTHORITY_CERTIFICATES
        certificates = files.read_certificates(path)
        key = files.read_key(directory / files.AUTHORITY_KEY)
        try:
            check_roots(certificates)
            own = x509.load_der_x509_certificate(certificates[0])
            organisations = own.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        except (CertificateError, ValueError) as error:
            raise IdentityFileError("identity-malformed", f"{path}: {error}") from error
        if own.public_key() != key.public_key():
            raise IdentityFileError("identity-malformed", f"{directory}: the key is not that of the first certificate")
        msp = str(organisations[0].value) if len(organisations) == 1 else ""
        if re.fullmatch(MSP_PATTERN, msp) is None:
            raise IdentityFileError("identity-malformed", f"{path}: the organisation in its subject is no MSP id")
        return cls(msp, certificates, key)

    def save(self, directory: Path) -> None:
        """Write key and certificates into a directory; nothing is overwritten.

        Raises:
            IdentityFileError: `identity-exists`, `identity-unwritable`.
        """
        files.write_key_pair(
            directory,
            key_name=files.AUTHORITY_KEY,
            key=self._key,
            certificates_name=files.AUTHORITY_CERTIFICATES,
            certificates=self.certificates,
        )

    @property
    def roots(self) -> tuple[bytes, ...]:
        """What the organisation registers on the ledger: the last of the certificates, DER."""
        return self.certificates[-1:]

    def issue(
        self,
        role: Role,
        name: str,
        *,
        now: int,
        validity_days: int = MEMBER_VALIDITY_DAYS,
        backdate_seconds: int = BACKDATE_SECONDS,
    ) -> Identity:
        """Make a member: a new P-256 key and its certificate.

        Args:
            role: what the member may do.
            name: the member's name within the organisation.
            now: milliseconds since the epoch.
            validity_days: for how many days from now it is valid; the authority's own end cuts it short.
            backdate_seconds: for how long before now it is valid too.

        Raises:
            AuthorityError: `name-invalid`, `validity-invalid`, `authority-expired`.
        """
        if re.fullmatch(NAME_PATTERN, name) is None:
            message = f"{name!r} is no member's name: lower-case letters, digits and inner hyphens, at most 63"
            raise AuthorityError("name-invalid", message)
        own = x509.load_der_x509_certificate(self.certificates[0])
        start, end = _window(now, validity_days, backdate_seconds)
        if not own.not_valid_before_utc <= _moment(now) < own.not_valid_after_utc:
            message = f"the CA of {self.msp} is valid from {own.not_valid_before_utc} to {own.not_valid_after_utc}"
            raise AuthorityError("authority-expired", f"{message}; make a new one and register it")
        start, end = max(start, own.not_valid_before_utc), min(end, own.not_valid_after_utc)
        key = ec.generate_private_key(ec.SECP256R1())
        uri = x509.UniformResourceIdentifier(f"consilo://{self.msp}/{role}/{name}")
        builder = (
            _builder(_name(name, self.msp), own.subject, key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_key_identifier(own), critical=False)
        )
        hash_algorithm = SHA384() if isinstance(self._key.curve, ec.SECP384R1) else SHA256()
        leaf = builder.sign(self._key, hash_algorithm).public_bytes(Encoding.DER)
        return Identity((leaf, *self.certificates[:-1]), key)


def record_issued(directory: Path, identity: Identity) -> Path:
    """Keep a copy of an issued certificate in the authority's directory.

    Returns:
        The file, named after the serial number.

    Raises:
        IdentityFileError: `identity-exists`, `identity-unwritable`.
    """
    leaf = identity.certificates[0]
    path = directory / files.ISSUED / f"{read_certificate(leaf).serial}.pem"
    files.write_new(path, files.encode_certificates((leaf,)))
    return path


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)


def _window(now: int, validity_days: int, backdate_seconds: int) -> tuple[datetime, datetime]:
    if not 1 <= validity_days <= MAX_VALIDITY_DAYS or backdate_seconds < 0:
        message = f"a certificate is valid for 1 to {MAX_VALIDITY_DAYS} days, and dated back by 0 seconds or more"
        raise AuthorityError("validity-invalid", message)
    return _moment(now) - timedelta(seconds=backdate_seconds), _moment(now) + timedelta(days=validity_days)


def _name(common_name: str, msp: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, msp),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _key_usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _KEY_USAGES})


def _authority_key_identifier(own: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
