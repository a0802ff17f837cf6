"""The chaincode's package, the same bytes wherever it is made, so that everyone computes its id. Pure; no I/O.

A package of chaincode as a service holds no code: it says where the peer finds the server, and by which root
certificate it knows it. So one who knows these, the server itself too, knows the id. Both may be a `{{.name}}` instead,
which a peer's external builder fills in.
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


def service_package(label: str, address: str, root_certificate: str) -> Package:
    """Package chaincode that runs as a server, with TLS.

    Args:
        label: e.g. `consilo_1`.
        address: of the server, `host:port`, as its peer reaches it; or a placeholder.
        root_certificate: PEM, of the server's certificate; or a placeholder.
    """
    connection = {
        "address": address,
        "dial_timeout": _DIAL_TIMEOUT,
        "tls_required": True,
        "client_auth_required": False,
        "root_cert": root_certificate,
    }
    code = _archive({"connection.json": _json(connection)})
    metadata = {"label": label, "path": "", "type": "ccaas"}
    return Package(label, _archive({"metadata.json": _json(metadata), "code.tar.gz": code}))


def placeholder(name: str) -> str:
    """What a peer's external builder replaces by what it knows under this name."""
    return "{{." + name + "}}"


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
