"""The directories of an authority and of a member on disk. Reads and writes files.

    <authority>/ca.key               private key, PKCS8, 0600
    <authority>/ca.pem               its certificate first, the organisation's root last; often both are one
    <authority>/issued/<serial>.pem  every certificate it issued: a lost member's serial number is needed to revoke it
    <member>/key.pem                 private key, PKCS8, 0600
    <member>/certificate.pem         the member's certificate, then its issuers', without the root

A file appears whole or not at all, and none is ever overwritten. A private key that everyone may read is refused.
Read by group is let pass: that is how Kubernetes mounts a secret for a pod that does not run as root (`fsGroup`).
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from consilo.identity.errors import IdentityFileError

AUTHORITY_KEY: Final = "ca.key"
AUTHORITY_CERTIFICATES: Final = "ca.pem"
ISSUED: Final = "issued"
MEMBER_KEY: Final = "key.pem"
MEMBER_CERTIFICATES: Final = "certificate.pem"
MAX_FILE_BYTES: Final = 64 * 1024

_KEY_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o700


def write_key_pair(
    directory: Path,
    *,
    key_name: str,
    key: ec.EllipticCurvePrivateKey,
    certificates_name: str,
    certificates: tuple[bytes, ...],
) -> None:
    """Write a private key and its certificates into a directory, which is made if it is not there.

    Args:
        directory: where to.
        key_name: file of the key; PKCS8 without a password, readable by its owner only.
        key: the private key.
        certificates_name: file of the certificates.
        certificates: DER, written as PEM in this order.

    Raises:
        IdentityFileError: `identity-exists` when either file is there already, `identity-unwritable`.
    """
    for name in (key_name, certificates_name):
        if os.path.lexists(directory / name):
            raise _exists(directory / name)
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # The certificates last: a directory that has them has its key.
    write_new(directory / key_name, encoded, mode=_KEY_MODE)
    write_new(directory / certificates_name, encode_certificates(certificates))


def write_new(path: Path, content: bytes, *, mode: int = _PUBLIC_MODE) -> None:
    """Write a file that must not be there yet, durably and in one step; its directory is made if needed.

    Args:
        path: the file.
        content: its bytes.
        mode: its permissions, whatever the umask.

    Raises:
        IdentityFileError: `identity-exists`, `identity-unwritable`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _KEY_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            # A link, not a rename: it fails when the name is taken, also by someone who was faster.
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise IdentityFileError("identity-unwritable", f"{path} cannot be written: {error.strerror}") from error


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key in PEM, without a password.

    Raises:
        IdentityFileError: `key-exposed` when others than owner and group can read or write it, `identity-missing`,
            `identity-unreadable`, `identity-malformed` (also for keys of another kind than elliptic curve).
    """
    content, mode = _read(path)
    if mode & 0o007:
        raise IdentityFileError(
            "key-exposed",
            f"{path} can be used by everyone on this machine (mode {mode:04o}); run `chmod 600 {path}`, or mount the "
            "Kubernetes secret with `defaultMode: 0440`. If others had access, issue a new certificate",
        )
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise IdentityFileError("identity-malformed", f"{path} has a password; store the key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        # The parser's words are left out: they may quote what they could not read.
        raise IdentityFileError("identity-malformed", f"{path} is not a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityFileError("identity-malformed", f"{path} is not the key of an elliptic curve")
    return key


def read_certificates(path: Path) -> tuple[bytes, ...]:
    """Read the certificates of a PEM file, in their order, as DER.

    Raises:
        IdentityFileError: `identity-missing`, `identity-unreadable`, `identity-malformed`.
    """
    content, _ = _read(path)
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise IdentityFileError("identity-malformed", f"{path} does not hold certificates in PEM") from None
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def encode_certificates(certificates: tuple[bytes, ...]) -> bytes:
    """PEM of certificates in DER, in their order."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def _read(path: Path) -> tuple[bytes, int]:
    """Content and permissions of a regular file. Links are followed: Kubernetes mounts secrets as links."""
    try:
        # Not blocking, so that a named pipe in the file's place is an error and not a wait.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise IdentityFileError("identity-unreadable", f"{path} is not a file")
            content = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise IdentityFileError("identity-missing", f"{path} is not there; is it the right directory?") from None
    except OSError as error:
        raise IdentityFileError("identity-unreadable", f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise IdentityFileError("identity-malformed", f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return content, stat.S_IMODE(status.st_mode)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exists(path: Path) -> IdentityFileError:
    return IdentityFileError("identity-exists", f"{path} is there already; choose another directory or remove it first")
