"""An organisation's CA roots, from what its operator has on disk. Reads files."""

from __future__ import annotations

from pathlib import Path

from consilo.cli.exits import CliError
from consilo.identity import files
from consilo.protocol.certificates import CertificateError, check_roots


def read_roots(path: Path) -> tuple[bytes, ...]:
    """The root (DER) of a CA's directory, or of its certificates in PEM: the last one.

    Raises:
        IdentityFileError: the file cannot be read.
        CliError: `roots-malformed`: it holds no root of a CA.
    """
    file = path / files.AUTHORITY_CERTIFICATES if path.is_dir() else path
    roots = files.read_certificates(file)[-1:]
    try:
        check_roots(roots)
    except CertificateError as error:
        raise CliError("roots-malformed", f"{file}: {error.message}") from None
    return roots
