"""Who must endorse what: the definitions of chaincodes that the lifecycle's namespace holds. Pure; no I/O.

Fabric keeps a definition as one key for each of its fields, `namespaces/fields/<name>/<field>`, and those of the
approvals hashed, in a collection of each organisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.peer import policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.configuration import Configuration
from consilo.fabric.errors import ConfigurationInvalid
from consilo.fabric.identities import Identity
from consilo.fabric.policies import satisfies_signature_policy
from consilo.fabric.readwrite import Accesses

LIFECYCLE: Final = "_lifecycle"
"""Namespace of the definitions, and the name of the chaincode that writes them."""

_OWN_POLICY: Final = "/Channel/Application/LifecycleEndorsement"
_COLLECTION_OF: Final = "_implicit_org_"
_PLUGIN: Final = "vscc"


class NotDefined(Exception):
    """The channel has no such chaincode, or defines it in a way that is not known here."""


@dataclass(frozen=True)
class Definition:
    """What a channel says about a chaincode.

    Attributes:
        sequence: number of the definition.
        version: of the chaincode.
        policy: the `peer.ApplicationPolicy` that endorsements must satisfy.
    """

    sequence: int
    version: str
    policy: Any


def definition(values: Mapping[bytes, bytes], chaincode: str) -> Definition:
    """The definition of a chaincode.

    Args:
        values: the public state of the namespace `_lifecycle`.
        chaincode: its name.

    Raises:
        NotDefined: there is none that can be used.
    """
    try:
        about = db_pb2.StateMetadata.FromString(values.get(f"namespaces/metadata/{chaincode}".encode(), b""))
        if about.datatype != "ChaincodeDefinition":
            raise NotDefined(f"the channel defines no chaincode {chaincode[:100]!r}")
        endorsement = chaincode_definition_pb2.ChaincodeEndorsementInfo.FromString(
            _field(values, chaincode, "EndorsementInfo").Bytes
        )
        validation = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(
            _field(values, chaincode, "ValidationInfo").Bytes
        )
        policy = policy_pb2.ApplicationPolicy.FromString(validation.validation_parameter)
        sequence: int = _field(values, chaincode, "Sequence").Int64
    except DecodeError as error:
        raise NotDefined(f"the definition of chaincode {chaincode[:100]!r} cannot be read: {error}") from None
    if validation.validation_plugin != _PLUGIN:
        raise NotDefined(f"chaincode {chaincode[:100]!r} is validated by a plugin that is not known here")
    return Definition(sequence, endorsement.version, policy)


def is_endorsed(
    accesses: Sequence[Accesses],
    namespace: str,
    signers: Sequence[Identity],
    *,
    configuration: Configuration,
    values: Mapping[bytes, bytes],
) -> bool:
    """Whether the endorsers of a transaction suffice for what it does in one namespace.

    Policies of single keys are not known here: the chaincode `consilo` sets none.

    Args:
        accesses: all of the transaction's.
        namespace: of these.
        signers: whose endorsements are right.
        configuration: of the channel.
        values: the public state of the namespace `_lifecycle`.

    Raises:
        NotDefined: the namespace belongs to no chaincode that the channel defines.
        ConfigurationInvalid: a policy is of a kind that is not known here.
    """
    there = [each for each in accesses if each.space.namespace == namespace]
    collections = [each.space.collection for each in there if each.space.collection and each.writes]
    if namespace != LIFECYCLE:
        policy = definition(values, namespace).policy
        return _satisfied(policy, signers, configuration)
    if not all(_is_approved(collection, signers, configuration) for collection in collections):
        return False
    if collections and not any(each.writes and not each.space.collection for each in there):
        return True  # an approval: it is a matter of the organisation whose collection it is
    if configuration.policies.has(_OWN_POLICY):
        return configuration.policies.satisfied(_OWN_POLICY, signers)
    # Where the channel does not say, Fabric asks for a member of a majority.
    application = set(configuration.organisations.values())
    return len(_members(signers, configuration) & application) > len(application) // 2


def _satisfied(policy: Any, signers: Sequence[Identity], configuration: Configuration) -> bool:
    match policy.WhichOneof("Type"):
        case "signature_policy":
            return satisfies_signature_policy(configuration.msps, policy.signature_policy, signers)
        case "channel_config_policy_reference":
            return configuration.policies.satisfied(policy.channel_config_policy_reference, signers)
    raise ConfigurationInvalid("the chaincode's endorsement policy is of a kind that is not known here")


def _is_approved(collection: str, signers: Sequence[Identity], configuration: Configuration) -> bool:
    """Whether the organisation whose collection it is has endorsed what is written to it."""
    msp = collection.removeprefix(_COLLECTION_OF)
    for name, organisation in configuration.organisations.items():
        if organisation == msp and collection.startswith(_COLLECTION_OF):
            policy = f"/Channel/Application/{name}/Endorsement"
            if configuration.policies.has(policy):
                return configuration.policies.satisfied(policy, signers)
            return msp in _members(signers, configuration)
    raise NotDefined(f"the lifecycle has no collection {collection[:100]!r}")


def _members(signers: Sequence[Identity], configuration: Configuration) -> set[str]:
    return {signer.msp for signer in signers if configuration.msps.is_valid(signer)}


def _field(values: Mapping[bytes, bytes], chaincode: str, name: str) -> Any:
    return db_pb2.StateData.FromString(values.get(f"namespaces/fields/{chaincode}/{name}".encode(), b""))
