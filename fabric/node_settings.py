"""The settings files of peers (core.yaml) and orderers (orderer.yaml), complete: Fabric's samples are not needed.

Pure. Both files are YAML, of which JSON is a part. What is not said here is as Fabric has it by default.
"""

from __future__ import annotations

from typing import Any, Final

from fabric.channel import ORDERER_MSP
from fabric.description import OrdererNode, Organisation, host_of, port_of
from fabric.layout import BUILDER, PEER_HOST, Layout

BUILDER_VARIABLES: Final = "CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG"
"""Environment variable of a peer that its external builder fills packages in with."""

_MAX_MESSAGE_BYTES: Final = 100 * 1024 * 1024
_SIGNING: Final = {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}}


def peer_settings(layout: Layout, organisation: Organisation) -> dict[str, Any]:
    """The core.yaml of an organisation's peer."""
    peer = organisation.peer
    files = layout.peer(organisation.msp)
    return {
        "peer": {
            "id": f"{PEER_HOST}.{organisation.msp}",
            "networkId": "consilo",
            "listenAddress": peer.address,
            "address": peer.address,
            "chaincodeListenAddress": peer.chaincode_listen_address,
            "localMspId": organisation.msp,
            "localMspType": "bccsp",
            "mspConfigPath": str(files.msp),
            "fileSystemPath": str(files.data),
            "BCCSP": _SIGNING,
            "tls": {
                "enabled": True,
                "cert": {"file": str(files.tls / "server.crt")},
                "key": {"file": str(files.tls / "server.key")},
                "rootcert": {"file": str(files.tls / "ca.crt")},
            },
            "gateway": {
                "enabled": True,
                # A peer that accepts calls and does not answer (it is frozen) costs a caller this long, not 30 s.
                "endorsementTimeout": "3s",
                "broadcastTimeout": "5s",
                "dialTimeout": "5s",
            },
            "gossip": _gossip(peer.address),
            "deliveryclient": {
                "blockGossipEnabled": True,
                "reconnectTotalTimeThreshold": "3600s",
                "connTimeout": "3s",
                # The pause between tries to reach an orderer never grows beyond this (Fabric: an hour).
                "reConnectBackoffThreshold": "2s",
            },
            "authentication": {"timewindow": "15m"},
            "client": {"connTimeout": "3s"},
            "discovery": {
                "enabled": True,
                "authCacheEnabled": True,
                "authCacheMaxSize": 1000,
                "authCachePurgeRetentionRatio": 0.75,
            },
            "limits": {"concurrency": {"endorserService": 2500, "deliverService": 2500, "gatewayService": 500}},
            "maxRecvMsgSize": _MAX_MESSAGE_BYTES,
            "maxSendMsgSize": _MAX_MESSAGE_BYTES,
            "handlers": {
                "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
        },
        "vm": {"endpoint": ""},  # no Docker
        "chaincode": {
            "mode": "net",
            "externalBuilders": [
                {"name": "ccaas", "path": str(BUILDER), "propagateEnvironment": [BUILDER_VARIABLES]},
            ],
            "installTimeout": "60s",
            "startuptimeout": "30s",
            "executetimeout": "30s",
            "logging": {"level": "info", "shim": "warning"},
            "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
            "history": {"enableHistoryDatabase": False},
            "snapshots": {"rootDir": str(files.data / "snapshots")},
        },
        "operations": {"listenAddress": _address(peer.operations_url), "tls": {"enabled": False}},
        "metrics": {"provider": "prometheus"},
    }


def orderer_settings(layout: Layout, orderer: OrdererNode) -> dict[str, Any]:
    """The orderer.yaml of an orderer."""
    files = layout.orderer(orderer.name)
    certificate, key, roots = (str(files.tls / name) for name in ("server.crt", "server.key", "ca.crt"))
    return {
        "General": {
            "ListenAddress": host_of(orderer.address),
            "ListenPort": port_of(orderer.address),
            "LocalMSPID": ORDERER_MSP,
            "LocalMSPDir": str(files.msp),
            "BootstrapMethod": "none",
            "BCCSP": _SIGNING,
            "TLS": {"Enabled": True, "Certificate": certificate, "PrivateKey": key, "RootCAs": [roots]},
            "Cluster": {"ClientCertificate": certificate, "ClientPrivateKey": key, "RootCAs": [roots]},
            "MaxRecvMsgSize": _MAX_MESSAGE_BYTES,
            "MaxSendMsgSize": _MAX_MESSAGE_BYTES,
            "Authentication": {"TimeWindow": "15m"},
        },
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "1 MB"},
        "Admin": {
            "ListenAddress": orderer.admin_address,
            "TLS": {
                "Enabled": True,
                "Certificate": certificate,
                "PrivateKey": key,
                "RootCAs": [roots],
                "ClientRootCAs": [roots],
                "ClientAuthRequired": True,
            },
        },
        "FileLedger": {"Location": str(files.data / "ledger")},
        "Consensus": {"WALDir": str(files.data / "wal"), "SnapDir": str(files.data / "snapshots")},
        "Operations": {"ListenAddress": _address(orderer.operations_url), "TLS": {"Enabled": False}},
        "Metrics": {"Provider": "prometheus"},
    }


def _gossip(address: str) -> dict[str, Any]:
    return {
        "bootstrap": address,
        "endpoint": address,
        "externalEndpoint": address,
        "useLeaderElection": False,
        "orgLeader": True,
        # A peer that died is known to be dead after 5 s (Fabric: 25).
        "aliveTimeInterval": "1s",
        "aliveExpirationTimeout": "5s",
        # A peer that cannot be reached, or has not joined yet, is tried again soon (Fabric: 3 and 25 s).
        "dialTimeout": "500ms",
        "reconnectInterval": "500ms",
        # Other peers learn soon which chaincode a peer has, so that they choose it for endorsements (Fabric: 4 s).
        "publishStateInfoInterval": "250ms",
        "requestStateInfoInterval": "250ms",
        "state": {"enabled": False},
        "pvtData": {
            "transientstoreMaxBlockRetention": 1000,
            "reconcileBatchSize": 10,
            "reconcileSleepInterval": "60s",
            "reconciliationEnabled": False,  # the chaincode keeps no private data
        },
        # How often a peer counts whom it knows, for its metrics: `up` waits until all know each other (Fabric: 5 s).
        "membershipTrackerInterval": "200ms",
    }


def _address(url: str) -> str:
    return url.rpartition("/")[2]
