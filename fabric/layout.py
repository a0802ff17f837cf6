"""Where the files of a network are, below its directory. Paths only; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ORDERER_DOMAIN: Final = "orderer"
"""Directory and domain of the orderers' organisation."""

PEER_HOST: Final = "peer0"
CHAINCODE_HOST: Final = "chaincode"
"""Host names within an organisation, as cryptogen has them."""

BUILDER: Final = Path(__file__).parent.resolve() / "builder"
"""The external builder for chaincode as a service."""

PROJECT: Final = Path(__file__).parent.parent.resolve()
"""The folder that `python -m chaincode` is found in."""


@dataclass(frozen=True)
class NodeFiles:
    """Files of a peer or an orderer: `settings` is what Fabric calls its configuration path."""

    settings: Path
    data: Path
    msp: Path
    tls: Path


@dataclass(frozen=True)
class AdminFiles:
    """Files of an organisation's administrator."""

    msp: Path
    tls: Path


@dataclass(frozen=True)
class ClientFiles:
    """Files of an organisation's user, as whom a gateway comes: PEM, the key as PKCS 8."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Layout:
    """The files of the network in `directory`, which is absolute."""

    directory: Path

    @property
    def description(self) -> Path:
        """What others read to use the network."""
        return self.directory / "network.json"

    @property
    def lock(self) -> Path:
        """Locked while a command changes the network."""
        return self.directory / "fabric.lock"

    @property
    def crypto(self) -> Path:
        """Keys and certificates of all."""
        return self.directory / "crypto"

    @property
    def genesis(self) -> Path:
        """The channel's first block."""
        return self.directory / "genesis.block"

    def package(self, label: str) -> Path:
        """A chaincode package."""
        return self.directory / f"{label}.tar.gz"

    @property
    def logs(self) -> Path:
        """Logs, one for each process."""
        return self.directory / "logs"

    @property
    def processes(self) -> Path:
        """Notes of the processes that were started, one for each."""
        return self.directory / "processes"

    def organisation(self, msp: str) -> Path:
        """Keys and certificates of an organisation with a peer."""
        return self.crypto / "peerOrganizations" / msp

    @property
    def orderer_organisation(self) -> Path:
        """Keys and certificates of the orderers' organisation."""
        return self.crypto / "ordererOrganizations" / ORDERER_DOMAIN

    def peer(self, msp: str) -> NodeFiles:
        """Files of an organisation's peer."""
        keys = self.organisation(msp) / "peers" / f"{PEER_HOST}.{msp}"
        files = self.directory / "peers" / msp
        return NodeFiles(files, files / "data", keys / "msp", keys / "tls")

    def chaincode_tls(self, msp: str) -> Path:
        """Directory of the key and the certificate of an organisation's chaincode server."""
        return self.organisation(msp) / "peers" / f"{CHAINCODE_HOST}.{msp}" / "tls"

    def orderer(self, name: str) -> NodeFiles:
        """Files of an orderer."""
        keys = self.orderer_organisation / "orderers" / f"{name}.{ORDERER_DOMAIN}"
        files = self.directory / "orderers" / name
        return NodeFiles(files, files / "data", keys / "msp", keys / "tls")

    def admin(self, msp: str) -> AdminFiles:
        """Files of an organisation's administrator."""
        keys = self.organisation(msp) / "users" / f"Admin@{msp}"
        return AdminFiles(keys / "msp", keys / "tls")

    def client(self, msp: str) -> ClientFiles:
        """Files of an organisation's user."""
        user = self.organisation(msp) / "users" / f"User1@{msp}" / "msp"
        return ClientFiles(user / "signcerts" / f"User1@{msp}-cert.pem", user / "keystore" / "priv_sk")

    @property
    def orderer_admin(self) -> AdminFiles:
        """Files of the orderers' administrator."""
        keys = self.orderer_organisation / "users" / f"Admin@{ORDERER_DOMAIN}"
        return AdminFiles(keys / "msp", keys / "tls")

    @property
    def orderer_tls_ca(self) -> Path:
        """Root certificate for TLS to the orderers."""
        return self.orderer_organisation / "tlsca" / f"tlsca.{ORDERER_DOMAIN}-cert.pem"

    def peer_tls_ca(self, msp: str) -> Path:
        """Root certificate for TLS to an organisation's peer."""
        return self.organisation(msp) / "tlsca" / f"tlsca.{msp}-cert.pem"

    def log(self, part: str) -> Path:
        """Log of a process."""
        return self.logs / f"{part}.log"

    def note(self, part: str) -> Path:
        """Note of a process."""
        return self.processes / f"{part}.json"
