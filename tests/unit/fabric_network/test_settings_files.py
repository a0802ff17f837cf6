"""What Fabric's programs are told of keys, channel and nodes."""

from __future__ import annotations

import json
from pathlib import Path

from fabric.channel import PROFILE, configtx
from fabric.identities import orderer_organisation, peer_organisations
from fabric.layout import Layout
from fabric.node_settings import orderer_settings, peer_settings
from fabric.plan import Wanted
from tests.unit.fabric_network.descriptions import described


def test_every_peer_orderer_and_chaincode_server_has_a_certificate_for_its_addresses() -> None:
    loopback = ("localhost", "127.0.0.1")
    servers = {"peer0": loopback, "chaincode": loopback}
    orderers = {"orderer0": loopback, "orderer1": loopback}
    made = {**peer_organisations({"HospitalA": servers}), **orderer_organisation(orderers)}
    specifications = [spec for kind in made.values() for each in kind for spec in each["Specs"]]
    assert [spec["Hostname"] for spec in specifications] == ["peer0", "chaincode", "orderer0", "orderer1"]
    assert all("127.0.0.1" in spec["SANS"] for spec in specifications)
    assert all(each["EnableNodeOUs"] for kind in made.values() for each in kind)


def test_a_majority_endorses_and_changes_the_channel(tmp_path: Path) -> None:
    with described(tmp_path, Wanted(orderers=3, batch_timeout_ms=50)) as description:
        profile = configtx(Layout(tmp_path), description)["Profiles"][PROFILE]
    policies = profile["Application"]["Policies"]
    assert policies["Endorsement"]["Rule"] == policies["LifecycleEndorsement"]["Rule"] == "MAJORITY Endorsement"
    assert policies["Admins"]["Rule"] == "MAJORITY Admins"
    hospital = profile["Application"]["Organizations"][0]
    assert hospital["Policies"]["Endorsement"]["Rule"] == "OR('HospitalA.peer')"
    assert hospital["Policies"]["Readers"]["Rule"] == "OR('HospitalA.admin', 'HospitalA.peer', 'HospitalA.client')"
    assert len(hospital["AnchorPeers"]) == 1
    assert profile["Orderer"]["BatchTimeout"] == "50ms"
    assert len(profile["Orderer"]["EtcdRaft"]["Consenters"]) == 3


def test_nodes_encrypt_and_listen_on_the_loopback_address_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with described(tmp_path) as description:
        peer = peer_settings(layout, description.organisations[0])
        orderer = orderer_settings(layout, description.orderers[0])
    assert peer["peer"]["tls"]["enabled"]
    assert orderer["General"]["TLS"]["Enabled"]
    assert orderer["Admin"]["TLS"]["ClientAuthRequired"]
    for settings in (peer, orderer):
        text = json.dumps(settings)
        assert "0.0.0.0" not in text
        assert "localhost" not in text


def test_all_of_a_nodes_files_are_below_the_networks_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with described(tmp_path) as description:
        peer = peer_settings(layout, description.organisations[0])
        orderer = orderer_settings(layout, description.orderers[0])
    places = (
        *(peer["peer"]["fileSystemPath"], peer["peer"]["mspConfigPath"], peer["ledger"]["snapshots"]["rootDir"]),
        *(orderer["FileLedger"]["Location"], orderer["Consensus"]["WALDir"], orderer["Consensus"]["SnapDir"]),
    )
    assert all(Path(place).is_relative_to(tmp_path) for place in places)
