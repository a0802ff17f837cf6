"""What Fabric's own tools make before a network can start, and the files that its processes read. Writes files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from consilo.fabric.package import Package
from fabric.binaries import Tools
from fabric.channel import PROFILE, configtx
from fabric.commands import run
from fabric.description import Description, OrdererNode, Organisation
from fabric.identities import Hosts, orderer_organisation, peer_organisations
from fabric.layout import CHAINCODE_HOST, PEER_HOST, Layout
from fabric.node_settings import orderer_settings, peer_settings
from fabric.ports import HOST

_LOOPBACK: Final = ("localhost", HOST)


async def make_identities(tools: Tools, layout: Layout, description: Description) -> None:
    """Make the keys and certificates of all, for nodes on this machine."""
    orderers = orderer_organisation({orderer.name: _LOOPBACK for orderer in description.orderers})
    peers = peer_organisations({organisation.msp: _servers() for organisation in description.organisations})
    await generate(tools, layout, {**orderers, **peers})


async def make_identities_of(tools: Tools, layout: Layout, msp: str) -> None:
    """Make the keys and certificates of one more organisation, for nodes on this machine."""
    await generate(tools, layout, peer_organisations({msp: _servers()}))


def _servers() -> Hosts:
    return dict.fromkeys((PEER_HOST, CHAINCODE_HOST), _LOOPBACK)


async def generate(tools: Tools, layout: Layout, configuration: dict[str, Any]) -> None:
    """Make keys and certificates with cryptogen.

    Args:
        tools: Fabric's programs.
        layout: where they go.
        configuration: see `fabric.identities`.
    """
    file = write_json(layout.directory / "crypto-config.yaml", configuration)
    await run(tools.cryptogen, "generate", f"--config={file}", f"--output={layout.crypto}")


async def make_block(tools: Tools, layout: Layout, description: Description, block: Path) -> None:
    """Make the first block of a channel as described, with configtxgen."""
    directory = layout.directory / "channel" / block.stem
    write_json(directory / "configtx.yaml", configtx(layout, description))
    await run(
        tools.configtxgen,
        *("-configPath", directory, "-profile", PROFILE),
        *("-channelID", description.channel, "-outputBlock", block),
    )


def write_orderer_settings(layout: Layout, orderer: OrdererNode) -> None:
    """Write an orderer's settings file."""
    write_json(layout.orderer(orderer.name).settings / "orderer.yaml", orderer_settings(layout, orderer))


def write_peer_settings(layout: Layout, organisation: Organisation) -> None:
    """Write the settings file of an organisation's peer."""
    write_json(layout.peer(organisation.msp).settings / "core.yaml", peer_settings(layout, organisation))


def write_package(layout: Layout, package: Package) -> Path:
    """Write a chaincode package to a file."""
    file = layout.package(package.label)
    file.write_bytes(package.data)
    return file


def write_json(file: Path, content: dict[str, Any]) -> Path:
    """Write settings as JSON, which is YAML, too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return file
