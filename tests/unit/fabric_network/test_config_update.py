"""A configuration update that adds an organisation: what it reads, what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from fabric_protos.common import common_pb2, configtx_pb2

from fabric.config_update import adding_organisation, organisation_in
from fabric.errors import NetworkError


def configuration_block(organisations: list[str]) -> bytes:
    """A block as orderers make it, with some organisations on the channel at version 3."""
    config = configtx_pb2.Config(sequence=4)
    application = config.channel_group.groups["Application"]
    application.version = 3
    application.mod_policy = "Admins"
    application.values["Capabilities"].value = b"V2_5"
    application.policies["Endorsement"].mod_policy = "Admins"
    for msp in organisations:
        application.groups[msp].version = 1
        application.groups[msp].values["MSP"].value = msp.encode()
    envelope = configtx_pb2.ConfigEnvelope(config=config)
    payload = common_pb2.Payload(data=envelope.SerializeToString())
    signed = common_pb2.Envelope(payload=payload.SerializeToString())
    block: bytes = common_pb2.Block(data=common_pb2.BlockData(data=[signed.SerializeToString()])).SerializeToString()
    return block


def update_in(envelope: bytes) -> tuple[Any, Any]:
    """The update in an envelope, and the envelope's channel header."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
    update = configtx_pb2.ConfigUpdate.FromString(
        configtx_pb2.ConfigUpdateEnvelope.FromString(payload.data).config_update
    )
    return update, common_pb2.ChannelHeader.FromString(payload.header.channel_header)


def test_it_writes_the_next_version_of_the_application_with_one_organisation_more() -> None:
    now, new = configuration_block(["HospitalA", "HospitalB"]), configuration_block(["HospitalD"])
    group = organisation_in(new, "HospitalD")
    update, header = update_in(adding_organisation(now, "consilo", "HospitalD", group))
    assert (header.type, header.channel_id) == (common_pb2.CONFIG_UPDATE, "consilo")
    assert update.channel_id == "consilo"
    read, written = update.read_set.groups["Application"], update.write_set.groups["Application"]
    assert (read.version, written.version, written.mod_policy) == (3, 4, "Admins")
    assert set(read.groups) == {"HospitalA", "HospitalB"}
    assert set(written.groups) == {"HospitalA", "HospitalB", "HospitalD"}
    assert written.groups["HospitalD"] == group
    for both in (read, written):  # what stays is named by its version alone
        assert both.groups["HospitalA"] == configtx_pb2.ConfigGroup(version=1)
        assert both.values["Capabilities"] == configtx_pb2.ConfigValue()
        assert both.policies["Endorsement"] == configtx_pb2.ConfigPolicy()


def test_one_that_is_on_the_channel_is_not_added_again() -> None:
    block = configuration_block(["HospitalA"])
    with pytest.raises(NetworkError, match="HospitalA is on the channel already"):
        adding_organisation(block, "consilo", "HospitalA", organisation_in(block, "HospitalA"))


def test_one_that_is_not_in_the_block_is_told() -> None:
    with pytest.raises(NetworkError, match="HospitalZ is not on the channel"):
        organisation_in(configuration_block(["HospitalA"]), "HospitalZ")
