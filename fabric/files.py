"""What Fabric's own tools make before a network can start, and the files that its processes read. Writes files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fabric.channel import PROFILE, configtx
from fabric.commands import run
from fabric.description import Description, OrdererNode, Organisation
from fabric.identities import orderer_organisation, peer_organisations
from fabric.layout import Layout
from fabric.node_settings import orderer_settings, peer_settings
from fabric.package import Package
from fabric.parts import Parts


async def make_identities(parts: Parts, description: Description) -> None:
    """Make the keys and certificates of all."""
    orderers = orderer_organisation(orderer.name for orderer in description.orderers)
    peers = peer_organisations(organisation.msp for organisation in description.organisations)
    await _generate(parts, {**orderers, **peers})


async def make_identities_of(parts: Parts, msp: str) -> None:
    """Make the keys and certificates of one more organisation."""
    await _generate(parts, peer_organisations([msp]))


async def _generate(parts: Parts, configuration: dict[str, Any]) -> None:
    file = write_json(parts.layout.directory / "crypto-config.yaml", configuration)
    await run(parts.binaries.cryptogen, "generate", f"--config={file}", f"--output={parts.layout.crypto}")


async def make_block(parts: Parts, description: Description, block: Path) -> None:
    """Make the first block of a channel as described, with configtxgen."""
    layout = parts.layout
    directory = layout.directory / "channel" / block.stem
    write_json(directory / "configtx.yaml", configtx(layout, description))
    await run(
        parts.binaries.configtxgen,
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
