"""A change of a channel's configuration, checked in full as Fabric's orderers and peers do. Pure; no I/O.

The change says what it read and what it writes, at which versions. What it writes at a new version must be signed for
as the policy demands that the present configuration names for it, and the new configuration must be the present one
with exactly these writes.

Not checked: that the new values make sense to an orderer (timeouts, consenters), which nothing here depends on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.common import common_pb2, configtx_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.configuration import Configuration
from consilo.fabric.errors import ConfigurationInvalid
from consilo.fabric.identities import Identity
from consilo.fabric.policies import SignedData

_GROUP: Final = "group"
_NAME: Final = re.compile(r"[a-zA-Z0-9.\-]{1,249}", re.ASCII)
_DEFAULT_POLICY: Final = "Admins"
_DEEPEST: Final = 32

Key = tuple[str, tuple[str, ...]]
"""Kind of an element (`group`, `values`, `policies`) and its path from the root."""

Elements = dict[Key, Any]


@dataclass(frozen=True)
class Update:
    """A change that was asked for.

    Attributes:
        update: the `common.ConfigUpdate`.
        signed: the signatures on it.
    """

    update: Any
    signed: tuple[SignedData, ...]


def next_configuration(present: Configuration, data: bytes) -> Configuration:
    """The configuration that a `common.ConfigEnvelope` puts in the place of the present one.

    Raises:
        ConfigurationInvalid: the present one does not admit it.
    """
    try:
        envelope = configtx_pb2.ConfigEnvelope.FromString(data)
        if envelope.config.sequence != present.sequence + 1:
            raise ConfigurationInvalid(f"number {envelope.config.sequence} does not follow {present.sequence}")
        asked = _update(envelope.last_update)
    except DecodeError as error:
        raise ConfigurationInvalid(f"it cannot be read: {error}") from None
    elements = _authorised(present, asked)
    # Channels of old had elements without one, which Fabric mends where the orderers' capabilities are named.
    default = _DEFAULT_POLICY if ("values", ("Orderer", "Capabilities")) in elements else ""
    if _assembled(elements, (), default) != envelope.config.channel_group:
        raise ConfigurationInvalid("it is not what its signed change makes of the one before")
    return Configuration.of(present.channel, envelope.config)


def _update(envelope: Any) -> Update:
    payload = common_pb2.Payload.FromString(envelope.payload)
    kind = common_pb2.ChannelHeader.FromString(payload.header.channel_header).type
    if kind != common_pb2.CONFIG_UPDATE:
        raise ConfigurationInvalid(f"what asks for it is of type {kind}, not a change of the configuration")
    signed = configtx_pb2.ConfigUpdateEnvelope.FromString(payload.data)
    return Update(
        configtx_pb2.ConfigUpdate.FromString(signed.config_update),
        tuple(
            SignedData(
                signer=common_pb2.SignatureHeader.FromString(each.signature_header).creator,
                data=each.signature_header + signed.config_update,
                signature=each.signature,
            )
            for each in signed.signatures
        ),
    )


def _authorised(present: Configuration, asked: Update) -> Elements:
    """The elements of the new configuration: the present ones, overlaid with what the change may write."""
    update = asked.update
    if update.channel_id != present.channel:
        raise ConfigurationInvalid(f"its change is for channel {update.channel_id[:100]!r}")
    existing, read = _elements(present.group), _elements(update.read_set)
    for key, element in read.items():
        if key not in existing or existing[key].version != element.version:
            raise ConfigurationInvalid(f"its change has read another version of {_shown(key)}")
    written = _elements(update.write_set)
    changed = {
        key: element for key, element in written.items() if key not in read or read[key].version != element.version
    }
    if not changed:
        raise ConfigurationInvalid("its change changes nothing")
    signers = present.msps.signers(asked.signed)
    for key, element in changed.items():
        _check_change(present, key, existing.get(key), element, signers)
    result = existing | changed
    if missing := [key for key in written if key not in result]:
        raise ConfigurationInvalid(f"its change writes {_shown(missing[0])} nowhere")
    return result


def _check_change(present: Configuration, key: Key, existing: Any, element: Any, signers: Sequence[Identity]) -> None:
    if any(_NAME.fullmatch(name) is None for name in element.mod_policy.removeprefix("/").split("/")):
        raise ConfigurationInvalid(f"it names no policy for changes of {_shown(key)}")
    expected = 0 if existing is None else existing.version + 1
    if element.version != expected:
        raise ConfigurationInvalid(f"it gives {_shown(key)} version {element.version} instead of {expected}")
    # Whoever adds an element changes the group that it is added to, and that is signed for.
    if existing is not None:
        policy = _policy_path(key, existing.mod_policy)
        if not present.policies.satisfied(policy, signers):
            raise ConfigurationInvalid(f"the change of {_shown(key)} is not signed as {policy} demands")


def _policy_path(key: Key, policy: str) -> str:
    """The whole path of an element's policy, which may be given from the group on that the element is in, or is."""
    if policy.startswith("/"):
        return policy
    kind, path = key
    return "/".join(("", "Channel", *(path if kind == _GROUP else path[:-1]), policy))


def _elements(root: Any) -> Elements:
    found: Elements = {}
    _collect(root, (), found)
    return found


def _collect(group: Any, path: tuple[str, ...], found: Elements) -> None:
    if len(path) > _DEEPEST:
        raise ConfigurationInvalid(f"it is nested deeper than {_DEEPEST}")
    found[_GROUP, path] = group
    for kind in ("values", "policies"):
        for name, element in getattr(group, kind).items():
            found[kind, (*path, _checked(name))] = element
    for name, below in group.groups.items():
        _collect(below, (*path, _checked(name)), found)


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None or name in {".", ".."}:
        raise ConfigurationInvalid(f"{name[:100]!r} is no name of an element")
    return name


def _assembled(elements: Elements, path: tuple[str, ...], default: str) -> Any:
    """A group as its own element lists it, with its members as their elements are."""
    if (_GROUP, path) not in elements:
        raise ConfigurationInvalid(f"its change names a group {'/'.join(path)} that is not there")
    group = elements[_GROUP, path]
    made = configtx_pb2.ConfigGroup(version=group.version, mod_policy=group.mod_policy or default)
    for name in group.groups:
        made.groups[name].CopyFrom(_assembled(elements, (*path, name), default))
    for kind in ("values", "policies"):
        for name in getattr(group, kind):
            element = elements.get((kind, (*path, name)))
            if element is None:
                raise ConfigurationInvalid(f"its change names {_shown((kind, (*path, name)))}, which is not there")
            copy = getattr(made, kind)[name]
            copy.CopyFrom(element)
            copy.mod_policy = copy.mod_policy or default
    return made


def _shown(key: Key) -> str:
    kind, path = key
    return f"{kind.removesuffix('s') if kind != 'policies' else 'policy'} /{'/'.join(('Channel', *path))}"[:300]
