"""What each organisation's gateway is told of a Fabric network, from the network's own description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.local.fabric_foundation import FabricFoundation, gateway_arguments
from services.local.network import Description
from services.local.processes import Services


def organisation(msp: str, port: int) -> dict[str, Any]:
    return {
        "msp": msp,
        "peer": {
            "address": f"127.0.0.1:{port}",
            "tls_ca_file": f"/network/{msp}/tls.pem",
            "operations_url": f"http://127.0.0.1:{port + 1}",
            "pid": port,
            "log": f"/network/{msp}/peer.log",
        },
        "chaincode": {"address": f"127.0.0.1:{port + 2}", "pid": port + 2, "log": "/network/chaincode.log"},
        "client": {"certificate_file": f"/network/{msp}/user.pem", "key_file": f"/network/{msp}/user.key"},
        "admin": {"msp_directory": f"/network/{msp}/admin"},
    }


DESCRIPTION = {
    "channel": "consilo",
    "chaincode": "consilo",
    "package_id": "consilo:1234",
    "sequence": 1,
    "orderers": [
        {
            "name": "orderer0",
            "address": "127.0.0.1:7000",
            "admin_address": "127.0.0.1:7001",
            "operations_url": "http://127.0.0.1:7002",
            "pid": 7,
            "log": "/network/orderer.log",
        }
    ],
    "organisations": [organisation("HospitalA", 100), organisation("HospitalB", 200), organisation("HospitalC", 300)],
}


def read(description: dict[str, Any]) -> Description:
    return Description.model_validate_json(json.dumps(description))


@pytest.mark.parametrize("msp", ["HospitalA", "HospitalB", "HospitalC"])
def test_a_gateway_works_with_its_own_peer_and_falls_over_to_all_the_others(msp: str) -> None:
    peers = json.loads(gateway_arguments(read(DESCRIPTION), msp, Path("/here"))["fabric.peers"] or "")
    assert peers[0]["msp"] == msp
    assert sorted(peer["msp"] for peer in peers) == ["HospitalA", "HospitalB", "HospitalC"]
    for peer in peers:
        assert peer["tls_ca_file"] == f"/network/{peer['msp']}/tls.pem"


def test_a_gateway_signs_as_a_client_of_its_own_organisation_and_keeps_its_own_state() -> None:
    arguments = gateway_arguments(read(DESCRIPTION), "HospitalB", Path("/here"))
    assert arguments["fabric.msp"] == "HospitalB"
    assert arguments["fabric.certificate-file"] == "/network/HospitalB/user.pem"
    assert arguments["fabric.key-file"] == "/network/HospitalB/user.key"
    assert arguments["fabric.state-file"] == "/here/state.sqlite"


def test_a_description_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValidationError, match="channel"):
        read({name: value for name, value in DESCRIPTION.items() if name != "channel"})


def test_a_network_that_is_not_there_has_no_nodes(tmp_path: Path) -> None:
    assert FabricFoundation(tmp_path, Services(tmp_path, 1.0)).nodes() == []
