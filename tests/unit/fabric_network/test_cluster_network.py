"""What the chart's jobs are told, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fabric.channel import PROFILE, configtx
from fabric.cluster.__main__ import IMPOSSIBLE, app
from fabric.cluster.network import ClusterNetwork, ClusterOrganisation
from fabric.cluster.secrets import ClusterSecrets, SecretsUnavailable
from fabric.errors import Impossible
from fabric.layout import CHAINCODE_HOST, PEER_HOST, Layout
from tests.unit.fabric_network.clusters import HOSPITAL_A, HOSPITAL_B, network


def test_servers_are_known_by_the_names_of_their_services(tmp_path: Path) -> None:
    description = network(orderers=3).describe(Layout(tmp_path))
    assert [orderer.address for orderer in description.orderers] == [f"orderer-{n}.ledger:7050" for n in range(3)]
    assert description.organisation("HospitalB").peer.address == "peer-hospital-b.ledger:7051"
    assert description.organisation("HospitalB").chaincode.address == "chaincode-hospital-b.ledger:9999"


def test_certificates_are_for_every_name_of_the_service() -> None:
    hosts = network().organisation_hosts(HOSPITAL_A)
    assert set(hosts) == {PEER_HOST, CHAINCODE_HOST}
    assert {"peer-hospital-a", "peer-hospital-a.ledger", "peer-hospital-a.ledger.svc.cluster.local"} < {
        *hosts[PEER_HOST]
    }
    assert "orderer-0.ledger.svc" in network().orderer_hosts()["orderer-0"]


def test_the_channel_names_its_orderers_and_peers_by_their_services(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    profile = configtx(layout, network(orderers=3).describe(layout))["Profiles"][PROFILE]
    consenters = profile["Orderer"]["EtcdRaft"]["Consenters"]
    assert [(each["Host"], each["Port"]) for each in consenters] == [(f"orderer-{n}.ledger", 7050) for n in range(3)]
    anchors = profile["Application"]["Organizations"][0]["AnchorPeers"]
    assert anchors == [{"Host": "peer-hospital-a.ledger", "Port": 7051}]


def test_each_organisation_has_a_package_that_names_its_own_server(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for msp in ("HospitalA", "HospitalB"):
        layout.peer_tls_ca(msp).parent.mkdir(parents=True)
        layout.peer_tls_ca(msp).write_text("the same for both\n")
    ids = [network().package(layout, each).id for each in (HOSPITAL_A, HOSPITAL_B)]
    assert len(set(ids)) == 2
    assert all(each.startswith("consilo:") for each in ids)
    assert network(sequence=2).package(layout, HOSPITAL_A).id == ids[0]


def test_a_network_may_get_organisations_and_a_higher_sequence() -> None:
    assert network(sequence=2).differences(network(HOSPITAL_A)) == []


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (network(channel="other"), "the channel is consilo, and cannot become other"),
        (network(orderers=3), "the number of orderers is 1, and cannot become 3"),
        (network(batch_timeout_ms=50), "the batch timeout (ms) is 20, and cannot become 50"),
        (network(namespace="other"), "the namespace is ledger, and cannot become other"),
        (network(HOSPITAL_A), "HospitalB is on the channel, and cannot be taken off it"),
        (
            network(HOSPITAL_A, ClusterOrganisation(msp="HospitalB", name="b")),
            "the name of HospitalB is hospital-b, and cannot become b",
        ),
    ],
    ids=["channel", "orderers", "batch timeout", "namespace", "organisation", "name"],
)
def test_what_cannot_change_is_told_in_a_sentence(wanted: ClusterNetwork, sentence: str) -> None:
    assert wanted.differences(network()) == [sentence]


def test_the_sequence_does_not_go_back() -> None:
    assert network().differences(network(sequence=2)) == ["the chaincode's sequence is 2, and cannot go back to 1"]


@pytest.mark.parametrize(
    "text",
    ["", "{}", network().model_dump_json().replace('"orderers":1', '"orderers":0'), '{"more": 1}'],
    ids=["empty", "nothing", "no orderer", "unknown"],
)
def test_what_describes_no_network_is_refused(text: str) -> None:
    with pytest.raises(Impossible, match="does not describe a network"):
        ClusterNetwork.parse(text)


def test_a_network_is_read_as_it_was_written() -> None:
    assert ClusterNetwork.parse(network().model_dump_json()) == network()


def test_secrets_are_not_to_be_had_outside_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SecretsUnavailable, match="must run in the cluster"):
        ClusterSecrets("ledger", labels={}, timeout_seconds=1)


@pytest.mark.parametrize("command", ["material", "bootstrap", "check"])
def test_a_job_that_is_told_of_no_network_ends_for_good(tmp_path: Path, command: str) -> None:
    places = ["--directory", str(tmp_path / "work")]
    if command != "material":
        places += ["--administrators", str(tmp_path), "--channel", str(tmp_path)]
    done = CliRunner().invoke(app, [command, "--network", "{}", *places])
    assert done.exit_code == IMPOSSIBLE
    assert "does not describe a network" in done.stderr
