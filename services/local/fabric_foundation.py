"""A consortium on a Fabric network: each organisation has a peer, a gateway to it and a store of its own.

Starts the network; it ends when the services have ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from services.local.consortium import Hospital
from services.local.foundations import Node, Note, Site
from services.local.network import Description, Network, Organisation
from services.local.processes import Services


class FabricFoundation:
    """See `services.local.foundations.Foundation`.

    Args:
        directory: for the network (`network`), and for what each organisation's gateway and store keep (`sites`).
        services: which the network outlives.
        options: further ones of `python -m fabric up`.
    """

    def __init__(self, directory: Path, services: Services, options: Sequence[str] = ()) -> None:
        self._directory = directory
        self._services = services
        self._options = options
        self._network: Description | None = None

    async def lay(self, hospitals: Sequence[Hospital], note: Note) -> list[Site]:
        """Start the network.

        Raises:
            ServiceFailed: it does not start.
        """
        note("starting the Fabric network")
        network = Network(self._directory / "network", self._directory / "network.log", self._options)
        self._services.at_end(network.down)
        self._network = await network.up([hospital.msp for hospital in hospitals], note)
        note("starting gateways and stores")
        sites = []
        for hospital in hospitals:
            place = self._directory / "sites" / hospital.msp
            place.mkdir(parents=True)
            sites.append(Site(hospital.msp, [hospital], place, gateway_arguments(self._network, hospital.msp, place)))
        return sites

    def nodes(self) -> list[Node]:
        """Orderers, and each organisation's peer and chaincode server."""
        if self._network is None:
            return []
        nodes = [
            Node(orderer.name, orderer.address, orderer.pid, orderer.operations_url)
            for orderer in self._network.orderers
        ]
        for organisation in self._network.organisations:
            peer, chaincode = organisation.peer, organisation.chaincode
            nodes.append(Node(f"peer of {organisation.msp}", peer.address, peer.pid, peer.operations_url))
            nodes.append(Node(f"chaincode of {organisation.msp}", chaincode.address, chaincode.pid, None))
        return nodes


def gateway_arguments(network: Description, msp: str, directory: Path) -> dict[str, str | None]:
    """What the gateway of an organisation must be told to work with its peer, and with the others' when it is away.

    Args:
        network: that it belongs to.
        msp: MSP id of the organisation.
        directory: for its replica of the state.
    """
    (own,) = [organisation for organisation in network.organisations if organisation.msp == msp]
    others = [organisation for organisation in network.organisations if organisation.msp != msp]
    return {
        "fabric.channel": network.channel,
        "fabric.chaincode": network.chaincode,
        "fabric.msp": msp,
        "fabric.certificate-file": str(own.client.certificate_file),
        "fabric.key-file": str(own.client.key_file),
        "fabric.peers": json.dumps([_peer(organisation) for organisation in (own, *others)]),
        "fabric.state-file": str(directory / "state.sqlite"),
    }


def _peer(organisation: Organisation) -> dict[str, str]:
    peer = organisation.peer
    return {"msp": organisation.msp, "address": peer.address, "tls_ca_file": str(peer.tls_ca_file)}
