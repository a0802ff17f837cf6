"""Keys and certificates: what cryptogen is told. Pure.

cryptogen reads YAML, of which JSON is a part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fabric.layout import CHAINCODE_HOST, ORDERER_DOMAIN, PEER_HOST
from fabric.ports import HOST

_NAMES: Final = ["localhost", HOST]


def peer_organisations(msps: Iterable[str]) -> dict[str, Any]:
    """For organisations that each have a peer, a chaincode server, an administrator and one user."""
    return {
        "PeerOrgs": [
            {
                "Name": msp,
                "Domain": msp,
                "EnableNodeOUs": True,
                "Specs": [{"Hostname": name, "SANS": _NAMES} for name in (PEER_HOST, CHAINCODE_HOST)],
                "Users": {"Count": 1},
            }
            for msp in msps
        ]
    }


def orderer_organisation(orderers: Iterable[str]) -> dict[str, Any]:
    """For the organisation of the orderers with these names."""
    return {
        "OrdererOrgs": [
            {
                "Name": ORDERER_DOMAIN,
                "Domain": ORDERER_DOMAIN,
                "EnableNodeOUs": True,
                "Specs": [{"Hostname": name, "SANS": _NAMES} for name in orderers],
            }
        ]
    }
