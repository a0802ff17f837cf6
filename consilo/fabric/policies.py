"""Who must sign: policies of a channel's configuration, and whether signatures satisfy them. Pure; no I/O.

A policy is either a signature policy (so many of these rules; a rule names a principal) or an implicit one (any, all or
a majority of the groups below satisfy the policy of a name). A signature counts once, whatever it is counted for, and
one certificate counts once, however often it signs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.common import policies_pb2
from fabric_protos.msp import identities_pb2, msp_principal_pb2
from google.protobuf.message import DecodeError

from consilo.fabric import chains
from consilo.fabric.errors import ConfigurationInvalid, IdentityInvalid
from consilo.fabric.identities import Identity, Msp

_SIGNATURE: Final = 1
_IMPLICIT_META: Final = 3
_DEEPEST: Final = 32
_ROOT: Final = "/Channel/"


@dataclass(frozen=True)
class SignedData:
    """A signature that a policy may count.

    Attributes:
        signer: serialised identity.
        data: what is signed.
        signature: in DER.
    """

    signer: bytes
    data: bytes
    signature: bytes


class Msps:
    """All organisations of a channel, by the ids of their MSPs."""

    def __init__(self, msps: Mapping[str, Msp]) -> None:
        self._msps = msps

    def identity(self, serialised: bytes) -> Identity:
        """The identity of a serialised one.

        Raises:
            IdentityInvalid: it is none of the channel's.
        """
        try:
            read = identities_pb2.SerializedIdentity.FromString(serialised)
        except DecodeError as error:
            raise IdentityInvalid(f"an identity cannot be read: {error}") from None
        msp = self._msps.get(read.mspid)
        if msp is None:
            raise IdentityInvalid(f"the channel has no MSP {read.mspid[:100]!r}")
        return msp.identity(read.id_bytes)

    def signers(self, signed: Iterable[SignedData]) -> list[Identity]:
        """Those whose signatures are right, each once."""
        found: dict[Identity, None] = {}
        for each in signed:
            try:
                identity = self.identity(each.signer)
            except IdentityInvalid:
                continue
            if identity not in found and chains.verify(identity.key, each.signature, each.data):
                found[identity] = None
        return list(found)

    def check(self, identity: Identity) -> None:
        """See `Msp.check`."""
        self._msps[identity.msp].check(identity)

    def is_valid(self, identity: Identity) -> bool:
        """See `Msp.is_valid`."""
        return self._msps[identity.msp].is_valid(identity)

    def satisfies(self, identity: Identity, principal: Any) -> bool:
        """Whether an identity is what a `msp.MSPPrincipal` names."""
        kinds = msp_principal_pb2.MSPPrincipal
        msp, content = self._msps[identity.msp], principal.principal
        match principal.principal_classification:
            case kinds.ROLE:
                role = msp_principal_pb2.MSPRole.FromString(content)
                name = msp_principal_pb2.MSPRole.MSPRoleType.Name(role.role)
                return bool(role.msp_identifier == identity.msp) and msp.has_role(identity, name)
            case kinds.ORGANIZATION_UNIT:
                unit = msp_principal_pb2.OrganizationUnit.FromString(content)
                return (
                    bool(unit.msp_identifier == identity.msp and unit.certifiers_identifier == identity.certifiers)
                    and unit.organizational_unit_identifier in identity.units
                    and msp.is_valid(identity)
                )
            case kinds.IDENTITY:
                try:
                    return self.identity(content) == identity and msp.is_valid(identity)
                except IdentityInvalid:
                    return False
            case kinds.COMBINED:
                parts = msp_principal_pb2.CombinedPrincipal.FromString(content).principals
                return bool(parts) and all(self.satisfies(identity, part) for part in parts)
            case kinds.ANONYMITY:
                anonymity = msp_principal_pb2.MSPIdentityAnonymity.FromString(content)
                return bool(anonymity.anonymity_type == msp_principal_pb2.MSPIdentityAnonymity.NOMINAL)
        return False


def satisfies_signature_policy(msps: Msps, policy: Any, signers: Sequence[Identity]) -> bool:
    """Whether signers satisfy a `common.SignaturePolicyEnvelope`.

    Raises:
        ConfigurationInvalid: it is none.
    """
    if policy.version != 0:
        raise ConfigurationInvalid(f"a signature policy of version {policy.version} is not known here")
    try:
        return _used(msps, policy.rule, policy.identities, signers, frozenset(), 0) is not None
    except (DecodeError, ValueError, IndexError) as error:
        raise ConfigurationInvalid(f"a signature policy cannot be read: {error}") from None


def _used(
    msps: Msps, rule: Any, principals: Sequence[Any], signers: Sequence[Identity], used: frozenset[int], depth: int
) -> frozenset[int] | None:
    """The signers that are used up when the rule is satisfied, None when it is not. First come, first served."""
    if depth > _DEEPEST:
        raise ConfigurationInvalid(f"a signature policy is nested deeper than {_DEEPEST}")
    match rule.WhichOneof("Type"):
        case "signed_by":
            if not 0 <= rule.signed_by < len(principals):
                raise ConfigurationInvalid(f"a signature policy has no principal {rule.signed_by}")
            for index, signer in enumerate(signers):
                if index not in used and msps.satisfies(signer, principals[rule.signed_by]):
                    return used | {index}
            return None
        case "n_out_of":
            satisfied = 0
            for each in rule.n_out_of.rules:
                after = _used(msps, each, principals, signers, used, depth + 1)
                if after is not None:
                    satisfied, used = satisfied + 1, after
            return used if satisfied >= rule.n_out_of.n else None
    raise ConfigurationInvalid("a signature policy has a rule of no kind")


class Policies:
    """The policies of a channel's configuration.

    Args:
        root: the `common.ConfigGroup` of the channel.
        msps: its organisations.
    """

    def __init__(self, root: Any, msps: Msps) -> None:
        self._root = root
        self._msps = msps

    def has(self, path: str) -> bool:
        """Whether there is a policy of a path, e.g. `/Channel/Application/Endorsement`."""
        group, name = self._find(path)
        return group is not None and name in group.policies

    def satisfied(self, path: str, signers: Sequence[Identity]) -> bool:
        """Whether signers satisfy the policy of a path; nobody satisfies one that is not there.

        Raises:
            ConfigurationInvalid: it is of a kind that is not known.
        """
        group, name = self._find(path)
        return group is not None and self._satisfied(group, name, signers)

    def _find(self, path: str) -> tuple[Any, str]:
        if not path.startswith(_ROOT):
            return None, ""
        *groups, name = path.removeprefix(_ROOT).split("/")
        group = self._root
        for each in groups:
            if each not in group.groups:
                return None, name
            group = group.groups[each]
        return group, name

    def _satisfied(self, group: Any, name: str, signers: Sequence[Identity]) -> bool:
        """A name may lead on to a group below: `Application/Admins`."""
        *below, name = name.split("/")
        for each in below:
            if each not in group.groups:
                return False
            group = group.groups[each]
        if name not in group.policies:
            return False
        policy = group.policies[name].policy
        try:
            if policy.type == _SIGNATURE:
                envelope = policies_pb2.SignaturePolicyEnvelope.FromString(policy.value)
                return satisfies_signature_policy(self._msps, envelope, signers)
            if policy.type == _IMPLICIT_META:
                return self._implicit(group, policies_pb2.ImplicitMetaPolicy.FromString(policy.value), signers)
        except DecodeError as error:
            raise ConfigurationInvalid(f"policy {name} cannot be read: {error}") from None
        raise ConfigurationInvalid(f"policy {name} is of kind {policy.type}, which is not known here")

    def _implicit(self, group: Any, policy: Any, signers: Sequence[Identity]) -> bool:
        satisfied = sum(self._satisfied(each, policy.sub_policy, signers) for each in group.groups.values())
        count = len(group.groups)
        kinds = policies_pb2.ImplicitMetaPolicy
        needed = {kinds.ANY: 1, kinds.ALL: count, kinds.MAJORITY: count // 2 + 1}.get(policy.rule)
        if needed is None:
            raise ConfigurationInvalid(f"an implicit policy has rule {policy.rule}, which is not known here")
        return satisfied >= (needed if count else 0)
