"""What the cluster's Secrets hold, from the files that Fabric's tools made. Reads and writes files.

Every server, client and job has a Secret of its own, with what it needs and nothing else. Keys of Secrets cannot hold
slashes, so an MSP's files are flattened; the chart puts them into the directories that Fabric expects.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Final

from fabric.cluster.secrets import Content
from fabric.errors import Impossible
from fabric.layout import Layout, NodeFiles

FILES_KEY: Final = "files.json"
_KEYS: Final = ("priv_sk", "server.key", "client.key")


def node_content(node: NodeFiles) -> Content:
    """Of a peer or an orderer: its MSP, its TLS key and certificate."""
    return {
        **_msp_content(node.msp),
        "tls.crt": (node.tls / "server.crt").read_bytes(),
        "tls.key": (node.tls / "server.key").read_bytes(),
    }


def chaincode_content(layout: Layout, msp: str) -> Content:
    """Of a chaincode server: its TLS key and certificate, and the root certificate that is in its package."""
    tls = layout.chaincode_tls(msp)
    return {
        "tls.crt": (tls / "server.crt").read_bytes(),
        "tls.key": (tls / "server.key").read_bytes(),
        "ca.crt": layout.peer_tls_ca(msp).read_bytes(),
    }


def client_content(layout: Layout, msp: str) -> Content:
    """Of an organisation's gateway: its identity on the channel, and the root certificate of its peer's TLS."""
    client = layout.client(msp)
    return {
        "client.pem": client.certificate.read_bytes(),
        "client.key": client.key.read_bytes(),
        "tls-ca.pem": layout.peer_tls_ca(msp).read_bytes(),
    }


def admin_content(layout: Layout, msp: str) -> Content:
    """Of an organisation's administrator: its MSP."""
    return _msp_content(layout.admin(msp).msp)


def files_below(root: Path) -> Content:
    """All files below a directory, as the content of one Secret."""
    return _files(root, [file for file in root.rglob("*") if file.is_file()])


def administrators_files(layout: Layout) -> Content:
    """What the administrators of all need together: certificates, and no key but their own."""
    administrators = [layout.orderer_admin, *map(layout.admin, _msps(layout))]
    own = {directory for admin in administrators for directory in (admin.msp, admin.tls)}

    def wanted(file: Path) -> bool:
        return file.is_file() and (file.name not in _KEYS or any(file.is_relative_to(each) for each in own))

    return _files(layout.crypto, [file for file in layout.crypto.rglob("*") if wanted(file)])


def restore_files(content: Content, root: Path) -> None:
    """Write the files of such a Secret below a directory again.

    Raises:
        Impossible: it holds something else.
    """
    try:
        files: dict[str, str] = json.loads(content[FILES_KEY])
        for name, text in files.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(name)
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="ascii")
    except (KeyError, ValueError, AttributeError, TypeError):
        raise Impossible(f"{FILES_KEY} of the Secret does not hold files of keys and certificates") from None


def _msp_content(msp: Path) -> Content:
    authority = _only(msp / "cacerts")
    return {
        "config.yaml": (msp / "config.yaml")
        .read_text()
        .replace(f"cacerts/{authority.name}", "cacerts/ca.pem")
        .encode(),
        "ca.pem": authority.read_bytes(),
        "tls-ca.pem": _only(msp / "tlscacerts").read_bytes(),
        "cert.pem": _only(msp / "signcerts").read_bytes(),
        "key.pem": _only(msp / "keystore").read_bytes(),
    }


def _files(root: Path, files: list[Path]) -> Content:
    texts = {file.relative_to(root).as_posix(): file.read_text(encoding="ascii") for file in sorted(files)}
    return {FILES_KEY: json.dumps(texts).encode()}


def _msps(layout: Layout) -> list[str]:
    directory = layout.crypto / "peerOrganizations"
    return sorted(each.name for each in directory.iterdir()) if directory.exists() else []


def _only(directory: Path) -> Path:
    (file,) = directory.iterdir()
    return file
