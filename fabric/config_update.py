"""Changes of a channel's configuration, computed from its newest configuration block. Pure.

An update names what it has read and what it writes, each part of the configuration with its version; what is written
has the next version (Fabric: "Updating a channel configuration").
"""

from __future__ import annotations

from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2

from fabric.errors import NetworkError

_APPLICATION = "Application"


def organisations_in(block: bytes) -> list[str]:
    """MSP ids of the organisations with peers in a configuration block, sorted."""
    return sorted(_configuration(block).channel_group.groups[_APPLICATION].groups)


def organisation_in(block: bytes, msp: str) -> Any:
    """An organisation's part of the configuration (a ConfigGroup) in a configuration block.

    Raises:
        NetworkError: the block's channel has no such organisation.
    """
    groups = _configuration(block).channel_group.groups[_APPLICATION].groups
    if msp not in groups:
        raise NetworkError(f"{msp} is not on the channel")
    return groups[msp]


def adding_organisation(block: bytes, channel: str, msp: str, group: Any) -> bytes:
    """The update (a serialised Envelope, not signed) that adds an organisation.

    Args:
        block: the channel's newest configuration block, serialised.
        channel: its name.
        msp: the organisation's MSP id.
        group: its part of the configuration, a ConfigGroup.

    Raises:
        NetworkError: it is on the channel already.
    """
    now = _configuration(block).channel_group.groups[_APPLICATION]
    if msp in now.groups:
        raise NetworkError(f"{msp} is on the channel already")
    update = configtx_pb2.ConfigUpdate(channel_id=channel)
    update.read_set.groups[_APPLICATION].CopyFrom(_versions(now))
    written = update.write_set.groups[_APPLICATION]
    written.CopyFrom(_versions(now))
    written.version = now.version + 1
    written.mod_policy = now.mod_policy
    written.groups[msp].CopyFrom(group)
    return _envelope(channel, configtx_pb2.ConfigUpdateEnvelope(config_update=update.SerializeToString()))


def _versions(group: Any) -> Any:
    """A group with the versions of what is directly in it, and nothing else."""
    found = configtx_pb2.ConfigGroup(version=group.version)
    for mine, its in ((found.groups, group.groups), (found.values, group.values), (found.policies, group.policies)):
        for name in its:
            mine[name].version = its[name].version
    return found


def _configuration(block: bytes) -> Any:
    envelope = common_pb2.Envelope.FromString(common_pb2.Block.FromString(block).data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    return configtx_pb2.ConfigEnvelope.FromString(payload.data).config


def _envelope(channel: str, update: Any) -> bytes:
    header = common_pb2.ChannelHeader(type=common_pb2.CONFIG_UPDATE, channel_id=channel)
    payload = common_pb2.Payload(
        header=common_pb2.Header(channel_header=header.SerializeToString()), data=update.SerializeToString()
    )
    envelope: bytes = common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()
    return envelope
