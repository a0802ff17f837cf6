"""A member's identity: its certificates and the key that signs for it. `load` and `save` read and write files.

The private key leaves this object only into a file of `save`: it is in no representation, comparison or copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from consilo.identity import files
from consilo.identity.errors import IdentityError, IdentityFileError
from consilo.protocol.certificates import P256_ORDER, CertificateError, MemberCertificate, read_certificate
from consilo.protocol.values import Role


class Identity:
    """A member that can sign.

    Args:
        certificates: DER; the member's, then its issuers', without the root.
        key: the private key of the first certificate.

    Raises:
        IdentityError: `identity-malformed`: the key is another's, or there is no certificate.
        CertificateError: the first certificate is not one of a member.
    """

    __slots__ = ("_certificate", "_certificates", "_key")

    def __init__(self, certificates: tuple[bytes, ...], key: ec.EllipticCurvePrivateKey) -> None:
        if not certificates:
            raise IdentityError("identity-malformed", "an identity needs at least the member's own certificate")
        self._certificate = read_certificate(certificates[0])
        if self._certificate.public_key != key.public_key():
            raise IdentityError("identity-malformed", "the key is not that of the member's certificate")
        self._certificates = certificates
        self._key = key

    @classmethod
    def load(cls, directory: Path) -> Identity:
        """Read a member from its directory: `key.pem` and `certificate.pem` (see `consilo.identity.files`).

        Whether the certificate is still valid is not looked at: there is no clock here.

        Raises:
            IdentityFileError: the files are missing, cannot be read, are not a member's or do not belong together, or
                everyone may read the key.
        """
        path = directory / files.MEMBER_CERTIFICATES
        certificates = files.read_certificates(path)
        key = files.read_key(directory / files.MEMBER_KEY)
        try:
            return cls(certificates, key)
        except (CertificateError, IdentityError) as error:
            raise IdentityFileError("identity-malformed", f"{path}: {error.message}") from error

    def save(self, directory: Path) -> None:
        """Write key and certificates into a directory; nothing is overwritten.

        Raises:
            IdentityFileError: `identity-exists`, `identity-unwritable`.
        """
        files.write_key_pair(
            directory,
            key_name=files.MEMBER_KEY,
            key=self._key,
            certificates_name=files.MEMBER_CERTIFICATES,
            certificates=self._certificates,
        )

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """DER: the member's certificate, then its issuers', without the root."""
        return self._certificates

    @property
    def certificate(self) -> MemberCertificate:
        """What the member's certificate says."""
        return self._certificate

    @property
    def member(self) -> str:
        """The member's id, `<msp>/<name>`."""
        return self._certificate.member

    @property
    def msp(self) -> str:
        """MSP id of the member's organisation."""
        return self._certificate.msp

    @property
    def role(self) -> Role:
        """What the member may do."""
        return self._certificate.role

    def sign(self, message: bytes) -> bytes:
        """Sign bytes: ECDSA on P-256 with SHA-256 (ES256).

        Returns:
            64 bytes: r and s, big-endian, with s in the lower half of its range as `verify_signature` demands.
        """
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")

    def __repr__(self) -> str:
        return f"Identity(member={self.member!r}, role={self.role!r}, serial={self._certificate.serial!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity holds a private key and is not copied or pickled")
