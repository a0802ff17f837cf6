"""The channel's first configuration: what configtxgen is told. Pure.

configtxgen reads YAML, of which JSON is a part.
"""

from __future__ import annotations

from typing import Any, Final

from fabric.description import Description, Organisation, host_of, port_of
from fabric.layout import Layout

ORDERER_MSP: Final = "Orderer"
"""MSP id of the orderers' organisation."""

PROFILE: Final = "Channel"

_CHANNEL_CAPABILITIES: Final = {"V2_0": True}
_APPLICATION_CAPABILITIES: Final = {"V2_5": True}


def configtx(layout: Layout, description: Description) -> dict[str, Any]:
    """The configuration of the whole channel.

    Args:
        layout: where the certificates are.
        description: who is on the channel, and at which addresses.
    """
    return {
        "Profiles": {
            PROFILE: {
                "Policies": _policies(),
                "Capabilities": _CHANNEL_CAPABILITIES,
                "Orderer": _orderer(layout, description),
                "Application": _application([_organisation(layout, each) for each in description.organisations]),
            }
        }
    }


def _organisation(layout: Layout, organisation: Organisation) -> dict[str, Any]:
    msp = organisation.msp
    return {
        "Name": msp,
        "ID": msp,
        "MSPDir": str(layout.organisation(msp) / "msp"),
        "Policies": {
            "Readers": _signature(msp, "admin", "peer", "client"),
            "Writers": _signature(msp, "admin", "client"),
            "Admins": _signature(msp, "admin"),
            "Endorsement": _signature(msp, "peer"),
        },
        "AnchorPeers": [{"Host": host_of(organisation.peer.address), "Port": port_of(organisation.peer.address)}],
    }


def _application(organisations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Organizations": organisations,
        "Policies": {
            **_policies(),
            "LifecycleEndorsement": _implicit("MAJORITY Endorsement"),
            "Endorsement": _implicit("MAJORITY Endorsement"),
        },
        "Capabilities": _APPLICATION_CAPABILITIES,
    }


def _orderer(layout: Layout, description: Description) -> dict[str, Any]:
    return {
        "OrdererType": "etcdraft",
        "BatchTimeout": f"{description.batch_timeout_ms}ms",
        "BatchSize": {"MaxMessageCount": 500, "AbsoluteMaxBytes": "10 MB", "PreferredMaxBytes": "2 MB"},
        "EtcdRaft": {
            "Consenters": [
                {
                    "Host": host_of(orderer.address),
                    "Port": port_of(orderer.address),
                    "ClientTLSCert": str(layout.orderer(orderer.name).tls / "server.crt"),
                    "ServerTLSCert": str(layout.orderer(orderer.name).tls / "server.crt"),
                }
                for orderer in description.orderers
            ],
            "Options": {
                # Elections take 10 to 20 ticks: with Fabric's own 500 ms every start would cost seconds.
                "TickInterval": "100ms",
                "ElectionTick": 10,
                "HeartbeatTick": 1,
                "MaxInflightBlocks": 5,
                # Less than one batch: Fabric 2.5.0 may hang at a start when more than a batch (`PreferredMaxBytes`) of
                # its log is to be read, and the consenters' entries are in it. A snapshot holds these.
                "SnapshotIntervalSize": "1 MB",
            },
        },
        "Organizations": [
            {
                "Name": ORDERER_MSP,
                "ID": ORDERER_MSP,
                "MSPDir": str(layout.orderer_organisation / "msp"),
                "Policies": {
                    "Readers": _signature(ORDERER_MSP, "member"),
                    "Writers": _signature(ORDERER_MSP, "member"),
                    "Admins": _signature(ORDERER_MSP, "admin"),
                },
                "OrdererEndpoints": [orderer.address for orderer in description.orderers],
            }
        ],
        "Policies": {**_policies(), "BlockValidation": _implicit("ANY Writers")},
        "Capabilities": _CHANNEL_CAPABILITIES,
    }


def _policies() -> dict[str, Any]:
    return {
        "Readers": _implicit("ANY Readers"),
        "Writers": _implicit("ANY Writers"),
        "Admins": _implicit("MAJORITY Admins"),
    }


def _implicit(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}


def _signature(msp: str, *roles: str) -> dict[str, str]:
    return {"Type": "Signature", "Rule": f"OR({', '.join(repr(f'{msp}.{role}') for role in roles)})"}
