"""Keys and certificates: what cryptogen is told. Pure.

cryptogen reads YAML, of which JSON is a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fabric.layout import ORDERER_DOMAIN

Hosts = Mapping[str, Sequence[str]]
"""Servers by name, with the names and addresses that their certificates are for."""


def peer_organisations(servers: Mapping[str, Hosts]) -> dict[str, Any]:
    """For organisations that each have an administrator and one user.

    Args:
        servers: of each organisation, by its MSP id: its peer and its chaincode server.
    """
    return {
        "PeerOrgs": [
            {
                "Name": msp,
                "Domain": msp,
                "EnableNodeOUs": True,
                "Specs": _specifications(hosts),
                "Users": {"Count": 1},
            }
            for msp, hosts in servers.items()
        ]
    }


def orderer_organisation(orderers: Hosts) -> dict[str, Any]:
    """For the organisation of these orderers."""
    return {
        "OrdererOrgs": [
            {
                "Name": ORDERER_DOMAIN,
                "Domain": ORDERER_DOMAIN,
                "EnableNodeOUs": True,
                "Specs": _specifications(orderers),
            }
        ]
    }


def _specifications(hosts: Hosts) -> list[dict[str, Any]]:
    return [{"Hostname": name, "SANS": list(names)} for name, names in hosts.items()]
