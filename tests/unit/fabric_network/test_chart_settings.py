"""The nodes of helm/fabric are set as those of the native network, which every other test runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from fabric.layout import Layout
from fabric.node_settings import orderer_settings, peer_settings
from tests.unit.fabric_network.clusters import network

CHART: Final = Path(__file__).resolve().parents[3] / "helm" / "fabric" / "files"

PLACES: Final = {
    *("ListenAddress", "ListenPort", "listenAddress", "address", "chaincodeListenAddress", "bootstrap", "endpoint"),
    *("externalEndpoint", "id", "localMspId", "LocalMSPDir", "mspConfigPath", "fileSystemPath", "file", "rootDir"),
    *("Certificate", "PrivateKey", "RootCAs", "ClientCertificate", "ClientPrivateKey", "ClientRootCAs"),
    *("Location", "WALDir", "SnapDir", "externalBuilders"),
}
"""What is another thing in a pod: addresses, files, the builder in the peer's image."""


def settings_in(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from settings_in(value, (*path, name))
        else:
            yield ".".join((*path, name)), "a place" if name in PLACES else value


def in_chart(name: str) -> dict[str, Any]:
    return dict(settings_in(yaml.safe_load((CHART / name).read_text())))


def test_peers_are_set_as_in_the_native_network(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    organisation = network().describe(layout).organisations[0]
    assert in_chart("core.yaml") == dict(settings_in(peer_settings(layout, organisation)))


def test_orderers_are_set_as_in_the_native_network(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    orderer = network().describe(layout).orderers[0]
    assert in_chart("orderer.yaml") == dict(settings_in(orderer_settings(layout, orderer)))
