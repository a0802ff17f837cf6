"""The chaincode's package, the same bytes wherever it is made, so that every organisation computes its id. No I/O.

A package of chaincode as a service holds no code: it says where the peer finds the server. `{{.name}}` in it is filled
in by each peer's external builder (see builder/bin/build).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ROOT_CERTIFICATE: Final = "root_cert"
"""Name under which a peer's builder knows the root certificate of its organisation's chaincode server."""

_DIAL_TIMEOUT: Final = "10s"


@dataclass(frozen=True)
class Package:
    """A package to install on peers.

    Attributes:
        label: for people; part of the id.
        data: the file, a tar.gz.
    """

    label: str
    data: bytes

    @property
    def id(self) -> str:
        """What Fabric calls it: `<label>:<SHA-256 of the file>`."""
        return f"{self.label}:{hashlib.sha256(self.data).hexdigest()}"


def service_package(label: str, address: str) -> Package:
    """Package chaincode that runs as a server, with TLS.

    Args:
        label: e.g. `consilo_1`.
        address: name under which a peer's builder knows the server's address.
    """
    connection = {
        "address": "{{." + address + "}}",
        "dial_timeout": _DIAL_TIMEOUT,
        "tls_required": True,
        "client_auth_required": False,
        "root_cert": "{{." + ROOT_CERTIFICATE + "}}",
    }
    code = _archive({"connection.json": _json(connection)})
    metadata = {"label": label, "path": "", "type": "ccaas"}
    return Package(label, _archive({"metadata.json": _json(metadata), "code.tar.gz": code}))


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()


def _archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    # Stored, not compressed, and with GzipFile's own header: what zlib writes differs from version to version.
    zipped = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=zipped, mode="wb", compresslevel=0, mtime=0) as file:
        file.write(packed.getvalue())
    return zipped.getvalue()
