"""What others must know to use a network: the content of its `network.json`. Pure but for `load` and `save`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fabric.errors import Impossible, NetworkAbsent, NetworkError
from fabric.names import Kind, chaincode_name, peer_name


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OrdererNode(_Model):
    """An orderer. `pid` is of the process that was started last; 0 for one that this machine did not start."""

    name: str
    address: str
    admin_address: str
    operations_url: str
    pid: int
    log: Path


class PeerNode(_Model):
    """An organisation's peer.

    Attributes:
        chaincode_listen_address: for chaincode that dials its peer; not used, but a peer insists on one.
    """

    address: str
    chaincode_listen_address: str
    tls_ca_file: Path
    operations_url: str
    pid: int
    log: Path


class ChaincodeServer(_Model):
    """An organisation's chaincode server.

    Attributes:
        other_address: where the server of the next sequence will listen, while this one still does.
    """

    address: str
    other_address: str
    pid: int
    log: Path


class Client(_Model):
    """An identity of Fabric's for a gateway: PEM files, the key as PKCS 8."""

    certificate_file: Path
    key_file: Path


class Admin(_Model):
    """An organisation's administrator."""

    msp_directory: Path


class Organisation(_Model):
    """An organisation with its peer, its chaincode server, and identities."""

    msp: str
    peer: PeerNode
    chaincode: ChaincodeServer
    client: Client
    admin: Admin


class Description(_Model):
    """A network. All paths are absolute.

    Attributes:
        channel: also the ledger's name.
        chaincode: name of the chaincode, and so of the state's namespace.
        package_id: of the chaincode that is deployed.
        sequence: how many times the chaincode has been deployed.
        batch_timeout_ms: how long an orderer waits for more transactions before it cuts a block.
        max_clock_difference_seconds: how far a transaction's time may be from a chaincode server's clock.
    """

    channel: str
    chaincode: str
    package_id: str
    sequence: Annotated[int, Field(ge=1)]
    batch_timeout_ms: int
    max_clock_difference_seconds: float
    orderers: tuple[OrdererNode, ...]
    organisations: tuple[Organisation, ...]

    def organisation(self, msp: str) -> Organisation:
        """The organisation with this MSP id.

        Raises:
            Impossible: there is none.
        """
        for organisation in self.organisations:
            if organisation.msp == msp:
                return organisation
        known = ", ".join(organisation.msp for organisation in self.organisations)
        raise Impossible(f"no organisation {msp}; there are {known}")

    def orderer(self, name: str) -> OrdererNode:
        """The orderer of this name.

        Raises:
            Impossible: there is none.
        """
        for orderer in self.orderers:
            if orderer.name == name:
                return orderer
        raise Impossible(f"no orderer {name}; there are {', '.join(orderer.name for orderer in self.orderers)}")

    def parts(self) -> dict[str, tuple[Kind, str]]:
        """Every process by its name: its kind, and the orderer's name or the organisation's MSP id."""
        msps = [organisation.msp for organisation in self.organisations]
        return {
            **{orderer.name: ("orderer", orderer.name) for orderer in self.orderers},
            **{chaincode_name(msp, self.sequence): ("chaincode", msp) for msp in msps},
            **{peer_name(msp): ("peer", msp) for msp in msps},
        }

    def ports(self) -> list[int]:
        """Every port of the network."""
        addresses = [
            address
            for orderer in self.orderers
            for address in (orderer.address, orderer.admin_address, orderer.operations_url)
        ]
        for organisation in self.organisations:
            peer, chaincode = organisation.peer, organisation.chaincode
            addresses += [peer.address, peer.chaincode_listen_address, peer.operations_url]
            addresses += [chaincode.address, chaincode.other_address]
        return [port_of(address) for address in addresses]

    def with_pids(self, pid_of: Callable[[str], int]) -> Description:
        """The same with the process ids of now.

        Args:
            pid_of: the pid of a part by its name (see `fabric.names`).
        """
        return self.model_copy(
            update={
                "orderers": tuple(
                    orderer.model_copy(update={"pid": pid_of(orderer.name)}) for orderer in self.orderers
                ),
                "organisations": tuple(self._organisation_with_pids(each, pid_of) for each in self.organisations),
            }
        )

    def _organisation_with_pids(self, organisation: Organisation, pid_of: Callable[[str], int]) -> Organisation:
        server = chaincode_name(organisation.msp, self.sequence)
        return organisation.model_copy(
            update={
                "peer": organisation.peer.model_copy(update={"pid": pid_of(peer_name(organisation.msp))}),
                "chaincode": organisation.chaincode.model_copy(update={"pid": pid_of(server)}),
            }
        )

    def save(self, file: Path) -> None:
        """Write it, so that a reader sees the old or the new, and never a part."""
        new = file.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        new.replace(file)

    @classmethod
    def load(cls, file: Path) -> Description:
        """Read it.

        Raises:
            NetworkAbsent: there is no such file.
            NetworkError: it is not a description.
        """
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise NetworkAbsent(f"no network in {file.parent}: start one with `python -m fabric up`") from None
        except ValidationError as error:
            raise NetworkError(f"{file} does not describe a network: {error}") from None


def host_of(address: str) -> str:
    """The host of an address or a URL, without its port."""
    return address.rpartition("/")[2].rpartition(":")[0]


def port_of(address: str) -> int:
    """The port of an address or a URL."""
    return int(address.rpartition(":")[2])
