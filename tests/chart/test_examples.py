"""The examples name what the charts install."""

from __future__ import annotations

import yaml

from k8s.organisations import ORGANISATIONS
from tests.chart.charts import EXAMPLES, Case, Manifest, containers_of, pods_of, render
from tests.chart.test_pods import selects

VALUES_OF_A = (ORGANISATIONS[0].values_file,)


def example(name: str) -> list[Manifest]:
    """The objects of an example."""
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


def test_routes_lead_to_ports_of_services_that_are_there() -> None:
    services = {
        manifest["metadata"]["name"]: {port["port"] for port in manifest["spec"]["ports"]}
        for manifest in render(Case("a", "consilo", VALUES_OF_A))
        if manifest["kind"] == "Service"
    }
    routes = example("httproute.yaml")
    assert len(routes) == 2
    for route in routes:
        assert route["metadata"]["namespace"] == ORGANISATIONS[0].namespace
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                assert backend["port"] in services[backend["name"]]


def test_the_values_that_go_with_the_routes_are_taken_and_let_the_proxy_in() -> None:
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
    given = {
        "gateway": {"publicUrl": "https://ledger.hospital-a.example"},
        "store": {"publicUrl": "https://store.hospital-a.example"},
        "networkPolicy": {"proxies": [namespace]},
    }
    rendered = render(Case("a", "consilo", VALUES_OF_A, given))
    for name in ("consilo-gateway", "consilo-store"):
        (policy,) = [each for each in rendered if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == name]
        assert namespace in [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]


def test_the_monitor_reads_ports_that_peers_and_orderers_have() -> None:
    monitor, policy = example("podmonitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    watched = set()
    for owner, pod in pods_of(render(Case("fabric", "fabric"))):
        if selects(monitor["spec"]["selector"], pod["metadata"]["labels"]):
            watched.add(owner.removeprefix("StatefulSet/").partition("-")[0])
            ports = {port["name"] for container in containers_of(pod) for port in container["ports"]}
            assert endpoint["port"] in ports, owner
    assert watched == {"peer", "orderer"}
    assert policy["spec"]["podSelector"] == monitor["spec"]["selector"]


def test_an_existing_network_is_asked_for_at_its_own_addresses() -> None:
    case = Case("existing", "consilo", (*VALUES_OF_A, EXAMPLES / "existing-fabric.yaml"))
    text = yaml.safe_dump_all(render(case))
    assert "peer0.hospital-a.example:7051" in text
    assert "peer-hospital-a.fabric" not in text


def test_the_consoles_are_pods_that_the_policies_know() -> None:
    console = yaml.safe_load((EXAMPLES.parent / "console.yaml").read_text())
    labels = console["spec"]["template"]["metadata"]["labels"]
    selecting = [
        manifest["metadata"]["name"]
        for manifest in render(Case("a", "consilo", VALUES_OF_A))
        if manifest["kind"] == "NetworkPolicy" and selects(manifest["spec"]["podSelector"], labels)
    ]
    assert "consilo-cli" in selecting
