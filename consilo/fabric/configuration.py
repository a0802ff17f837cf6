"""The configuration of a channel: its organisations, who must sign what, which rules its peers follow. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.common import configtx_pb2, configuration_pb2
from fabric_protos.msp import msp_config_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.errors import ConfigurationInvalid
from consilo.fabric.identities import Msp
from consilo.fabric.policies import Msps, Policies

_CAPABILITIES: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    # Part of the configuration -> the capabilities that are known here, and those of which it must have one.
    "Channel": (frozenset({"V1_1", "V1_3", "V1_4_2", "V1_4_3", "V2_0"}), frozenset({"V1_4_3", "V2_0"})),
    "Orderer": (frozenset({"V1_1", "V1_4_2", "V2_0"}), frozenset()),
    "Application": (
        frozenset({"V1_1", "V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"}),
        frozenset({"V2_0", "V2_5"}),
    ),
}


@dataclass(frozen=True)
class Configuration:
    """What one configuration block says, and what those after it are checked against.

    Attributes:
        channel: name of the channel.
        sequence: number of the configuration; grows by one with each change.
        group: the `common.ConfigGroup` of the channel.
        msps: all its organisations.
        organisations: group of each application organisation -> id of its MSP.
        policies: who must sign what.
    """

    channel: str
    sequence: int
    group: Any
    msps: Msps
    organisations: Mapping[str, str]
    policies: Policies

    @classmethod
    def of(cls, channel: str, config: Any) -> Configuration:
        """Read a `common.Config`.

        Raises:
            ConfigurationInvalid: it cannot be read, or asks for what is not known here.
        """
        root = config.channel_group
        for part in ("Orderer", "Application"):
            if part not in root.groups:
                raise ConfigurationInvalid(f"the configuration has no part {part}")
        _check_capabilities("Channel", root)
        msps: dict[str, Msp] = {}
        organisations: dict[str, str] = {}
        try:
            for part in ("Orderer", "Application"):
                _check_capabilities(part, root.groups[part])
                for name, group in sorted(root.groups[part].groups.items()):
                    msp = _msp(name, group)
                    msps[msp.id] = msp
                    if part == "Application":
                        organisations[name] = msp.id
        except DecodeError as error:
            raise ConfigurationInvalid(f"the configuration cannot be read: {error}") from None
        known = Msps(msps)
        return cls(channel, config.sequence, root, known, organisations, Policies(root, known))

    @classmethod
    def of_envelope(cls, channel: str, data: bytes) -> Configuration:
        """Read the `common.ConfigEnvelope` of a configuration block.

        Raises:
            ConfigurationInvalid: see `of`.
        """
        try:
            return cls.of(channel, configtx_pb2.ConfigEnvelope.FromString(data).config)
        except DecodeError as error:
            raise ConfigurationInvalid(f"the configuration cannot be read: {error}") from None


def _check_capabilities(part: str, group: Any) -> None:
    known, needed = _CAPABILITIES[part]
    value = group.values["Capabilities"].value if "Capabilities" in group.values else b""
    wanted = set(configuration_pb2.Capabilities.FromString(value).capabilities)
    if not wanted <= known:
        names = ", ".join(sorted(wanted - known))[:200]
        raise ConfigurationInvalid(f"the channel demands the {part} capability {names}, which is not known here")
    if needed and not wanted & needed:
        names = " or ".join(sorted(needed))
        raise ConfigurationInvalid(f"the channel lacks the {part} capability {names}: its rules are older ones")


def _msp(name: str, group: Any) -> Msp:
    if "MSP" not in group.values:
        raise ConfigurationInvalid(f"organisation {name} has no MSP")
    value = msp_config_pb2.MSPConfig.FromString(group.values["MSP"].value)
    if value.type != 0:
        raise ConfigurationInvalid(f"the MSP of organisation {name} is not one of X.509 certificates")
    return Msp(value.config)
