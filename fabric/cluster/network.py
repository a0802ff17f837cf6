"""The network that the chart is told to install: its members, and under which names the cluster knows their servers.

Pure, but for reading a certificate. The names and ports here are those of the chart's Services.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consilo.fabric.package import Package, service_package
from fabric.description import Admin, ChaincodeServer, Client, Description, OrdererNode, Organisation, PeerNode
from fabric.errors import Impossible
from fabric.identities import Hosts
from fabric.layout import CHAINCODE_HOST, PEER_HOST, Layout
from fabric.plan import CHAINCODE

ORDERER_PORT: Final = 7050
ORDERER_ADMIN_PORT: Final = 7053
PEER_PORT: Final = 7051
PEER_CHAINCODE_PORT: Final = 7052
CHAINCODE_PORT: Final = 9999
OPERATIONS_PORT: Final = 9443


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClusterOrganisation(_Model):
    """An organisation: its MSP id, and its name in names of the cluster's objects."""

    msp: str
    name: str


class ClusterNetwork(_Model):
    """A network in a namespace of the cluster.

    Attributes:
        namespace: of all its servers.
        channel: also the ledger's name.
        orderers: how many.
        batch_timeout_ms: how long an orderer waits for more transactions before it cuts a block.
        sequence: how many times the chaincode's definition is to have been committed.
        organisations: those with a peer and a chaincode server.
    """

    namespace: str
    channel: str
    orderers: Annotated[int, Field(ge=1)]
    batch_timeout_ms: Annotated[int, Field(ge=1)]
    sequence: Annotated[int, Field(ge=1)]
    organisations: Annotated[tuple[ClusterOrganisation, ...], Field(min_length=1)]

    @classmethod
    def parse(cls, text: str | bytes) -> ClusterNetwork:
        """Read it from JSON.

        Raises:
            Impossible: it describes no network.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise Impossible(f"this does not describe a network: {error}") from None

    def differences(self, before: ClusterNetwork) -> list[str]:
        """What cannot be changed of a network that is there, and is wanted otherwise, each as a sentence."""
        found = [
            f"{name} is {was}, and cannot become {wanted}"
            for name, was, wanted in (
                ("the channel", before.channel, self.channel),
                ("the number of orderers", before.orderers, self.orderers),
                ("the batch timeout (ms)", before.batch_timeout_ms, self.batch_timeout_ms),
                ("the namespace", before.namespace, self.namespace),
            )
            if was != wanted
        ]
        now = {each.msp: each.name for each in self.organisations}
        for each in before.organisations:
            if each.msp not in now:
                found.append(f"{each.msp} is on the channel, and cannot be taken off it")
            elif now[each.msp] != each.name:
                found.append(f"the name of {each.msp} is {each.name}, and cannot become {now[each.msp]}")
        if self.sequence < before.sequence:
            found.append(f"the chaincode's sequence is {before.sequence}, and cannot go back to {self.sequence}")
        return found

    def orderer_names(self) -> list[str]:
        """The orderers' names, which are those of their Services."""
        return [f"orderer-{index}" for index in range(self.orderers)]

    def orderer_hosts(self) -> Hosts:
        """The orderers, with the names that their certificates are for."""
        return {name: self._names(name) for name in self.orderer_names()}

    def organisation_hosts(self, organisation: ClusterOrganisation) -> Hosts:
        """An organisation's servers, with the names that their certificates are for."""
        return {
            PEER_HOST: self._names(f"peer-{organisation.name}"),
            CHAINCODE_HOST: self._names(f"chaincode-{organisation.name}"),
        }

    def package(self, layout: Layout, organisation: ClusterOrganisation) -> Package:
        """The chaincode's package for an organisation's peer. Reads its root certificate.

        It stays the same whatever the server's code and the sequence: in it is only where the server is.
        """
        address = f"{self._host(f'chaincode-{organisation.name}')}:{CHAINCODE_PORT}"
        return service_package(CHAINCODE, address, layout.peer_tls_ca(organisation.msp).read_text(encoding="ascii"))

    def describe(self, layout: Layout) -> Description:
        """The description that Fabric's tools are run by; the package's id is of no organisation."""
        return Description(
            channel=self.channel,
            chaincode=CHAINCODE,
            package_id="",
            sequence=self.sequence,
            batch_timeout_ms=self.batch_timeout_ms,
            max_clock_difference_seconds=0,
            orderers=tuple(self._orderer(name, layout) for name in self.orderer_names()),
            organisations=tuple(self._organisation(each, layout) for each in self.organisations),
        )

    def _orderer(self, name: str, layout: Layout) -> OrdererNode:
        host = self._host(name)
        return OrdererNode(
            name=name,
            address=f"{host}:{ORDERER_PORT}",
            admin_address=f"{host}:{ORDERER_ADMIN_PORT}",
            operations_url=f"http://{host}:{OPERATIONS_PORT}",
            pid=0,
            log=layout.log(name),
        )

    def _organisation(self, organisation: ClusterOrganisation, layout: Layout) -> Organisation:
        msp = organisation.msp
        peer, server = (self._host(f"{kind}-{organisation.name}") for kind in ("peer", "chaincode"))
        client = layout.client(msp)
        return Organisation(
            msp=msp,
            peer=PeerNode(
                address=f"{peer}:{PEER_PORT}",
                chaincode_listen_address=f"{peer}:{PEER_CHAINCODE_PORT}",
                tls_ca_file=layout.peer_tls_ca(msp),
                operations_url=f"http://{peer}:{OPERATIONS_PORT}",
                pid=0,
                log=layout.log(peer),
            ),
            chaincode=ChaincodeServer(
                address=f"{server}:{CHAINCODE_PORT}",
                other_address=f"{server}:{CHAINCODE_PORT}",
                pid=0,
                log=layout.log(server),
            ),
            client=Client(certificate_file=client.certificate, key_file=client.key),
            admin=Admin(msp_directory=layout.admin(msp).msp),
        )

    def _host(self, service: str) -> str:
        return f"{service}.{self.namespace}"

    def _names(self, service: str) -> tuple[str, ...]:
        host = self._host(service)
        return (service, host, f"{host}.svc", f"{host}.svc.cluster.local", "localhost", "127.0.0.1")
