"""Who must sign: signature policies, implicit ones, and the configuration that holds them. Generates keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fabric_protos.common import configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_principal_pb2

from consilo.fabric.configuration import Configuration
from consilo.fabric.errors import ConfigurationInvalid, IdentityInvalid
from consilo.fabric.policies import SignedData, satisfies_signature_policy
from tests.fabric_members import (
    IMPLICIT_META,
    SIGNATURE,
    MspRole,
    Signer,
    channel_group,
    implicit_policy,
    organisation,
    principal,
    set_policy,
    signature_policy,
)

MSPS = ("HospitalA", "HospitalB", "HospitalC")
A, B, C = (organisation(msp) for msp in MSPS)
Rule = policies_pb2.SignaturePolicy


def configuration(change: Callable[[Any], None] = lambda _: None) -> Configuration:
    config = configtx_pb2.Config(channel_group=channel_group(MSPS))
    change(config.channel_group)
    return Configuration.of("test", config)


def signed(*signers: Signer, data: bytes = b"data") -> list[SignedData]:
    return [SignedData(signer.identity, data, signer.sign(data)) for signer in signers]


def satisfied(policy: Any, *signers: Signer) -> bool:
    msps = configuration().msps
    return satisfies_signature_policy(msps, policy, msps.signers(signed(*signers)))


def of(needed: int, *rules: Any) -> Any:
    return Rule(n_out_of=Rule.NOutOf(n=needed, rules=rules))


# Signatures


def test_wrong_signatures_and_strangers_do_not_count_and_nobody_counts_twice() -> None:
    msps = configuration().msps
    good = signed(A.peer, A.peer, B.client)
    wrong = [SignedData(C.peer.identity, b"data", A.peer.sign(b"data")), SignedData(b"\xff", b"", b"")]
    assert [each.msp for each in msps.signers([*wrong, *good, *signed(organisation("HospitalX").peer)])] == [
        "HospitalA",
        "HospitalB",
    ]
    with pytest.raises(IdentityInvalid, match="the channel has no MSP 'HospitalX'"):
        msps.identity(organisation("HospitalX").peer.identity)


@pytest.mark.parametrize("needed", [0, 1, 2, 3])
def test_so_many_of_the_named_ones_must_sign(needed: int) -> None:
    policy = signature_policy(needed, *((msp, MspRole.PEER) for msp in MSPS))
    peers = [A.peer, B.peer, C.peer]
    for count in range(4):
        assert satisfied(policy, *peers[:count]) is (count >= needed)
    assert satisfied(policy, A.client, B.client, C.client) is (needed == 0)


def test_one_signature_serves_one_rule_only() -> None:
    member, peer = (A.msp, MspRole.MEMBER), (A.msp, MspRole.PEER)
    assert not satisfied(signature_policy(2, member, peer), A.peer)
    assert satisfied(signature_policy(2, peer, member), A.peer, A.client)
    # Fabric takes the first that fits, and does not look for a better match.
    assert not satisfied(signature_policy(2, member, peer), A.peer, A.client)


def test_rules_may_be_nested() -> None:
    policy = policies_pb2.SignaturePolicyEnvelope(
        rule=of(1, of(2, Rule(signed_by=0), Rule(signed_by=1)), Rule(signed_by=2)),
        identities=[principal(msp, MspRole.PEER) for msp in MSPS],
    )
    assert satisfied(policy, A.peer, B.peer)
    assert satisfied(policy, C.peer)
    assert not satisfied(policy, A.peer)


def principal_of(kind: int, content: Any) -> Any:
    return msp_principal_pb2.MSPPrincipal(principal_classification=kind, principal=content)


def one(wanted: Any) -> Any:
    return policies_pb2.SignaturePolicyEnvelope(rule=of(1, Rule(signed_by=0)), identities=[wanted])


def test_principals_may_be_units_identities_and_combinations() -> None:
    kinds = msp_principal_pb2.MSPPrincipal
    certifiers = configuration().msps.identity(A.peer.identity).certifiers
    unit = msp_principal_pb2.OrganizationUnit(
        msp_identifier=A.msp, organizational_unit_identifier="peer", certifiers_identifier=certifiers
    ).SerializeToString()
    in_unit = principal_of(kinds.ORGANIZATION_UNIT, unit)
    itself = principal_of(kinds.IDENTITY, A.peer.identity)
    both = principal_of(
        kinds.COMBINED, msp_principal_pb2.CombinedPrincipal(principals=[in_unit, itself]).SerializeToString()
    )
    for wanted in (in_unit, itself, both):
        assert satisfied(one(wanted), A.peer)
        assert not satisfied(one(wanted), A.client)
        assert not satisfied(one(wanted), B.peer)
    assert not satisfied(one(principal_of(kinds.COMBINED, b"")), A.peer)
    assert not satisfied(one(principal_of(kinds.IDENTITY, b"nobody")), A.peer)
    nominal = msp_principal_pb2.MSPIdentityAnonymity(anonymity_type=msp_principal_pb2.MSPIdentityAnonymity.NOMINAL)
    anonymous = msp_principal_pb2.MSPIdentityAnonymity(anonymity_type=msp_principal_pb2.MSPIdentityAnonymity.ANONYMOUS)
    assert satisfied(one(principal_of(kinds.ANONYMITY, nominal.SerializeToString())), A.peer)
    assert not satisfied(one(principal_of(kinds.ANONYMITY, anonymous.SerializeToString())), A.peer)


def deep(levels: int) -> Any:
    rule = Rule(signed_by=0)
    for _ in range(levels):
        rule = of(1, rule)
    return rule


@pytest.mark.parametrize(
    "policy",
    [
        policies_pb2.SignaturePolicyEnvelope(version=1),
        policies_pb2.SignaturePolicyEnvelope(),
        policies_pb2.SignaturePolicyEnvelope(rule=Rule(signed_by=0)),
        policies_pb2.SignaturePolicyEnvelope(rule=Rule(signed_by=-1), identities=[principal("HospitalA", 0)]),
        policies_pb2.SignaturePolicyEnvelope(
            rule=of(1, Rule(signed_by=0)), identities=[principal_of(msp_principal_pb2.MSPPrincipal.ROLE, b"\xff")]
        ),
        policies_pb2.SignaturePolicyEnvelope(rule=deep(40), identities=[principal("HospitalA", 0)]),
    ],
    ids=["version", "empty", "no-principal", "negative", "no-role", "deep"],
)
def test_policies_that_make_no_sense_are_refused(policy: Any) -> None:
    with pytest.raises(ConfigurationInvalid):
        satisfied(policy, A.peer)


# Implicit ones


@pytest.mark.parametrize(("rule", "needed"), [("ANY", 1), ("MAJORITY", 2), ("ALL", 3)])
def test_an_implicit_policy_counts_the_organisations_below(rule: str, needed: int) -> None:
    def change(group: Any) -> None:
        set_policy(group.groups["Application"], "Endorsement", IMPLICIT_META, implicit_policy(rule, "Endorsement"))

    channel = configuration(change)
    peers = [A.peer, B.peer, C.peer]
    for count in range(4):
        signers = channel.msps.signers(signed(*peers[:count]))
        assert channel.policies.satisfied("/Channel/Application/Endorsement", signers) is (count >= needed)


def test_a_majority_of_parts_each_by_a_majority_of_organisations() -> None:
    channel = configuration()
    orderers = organisation("Orderers")
    three = channel.msps.signers(signed(A.admin, B.admin, orderers.admin))
    two = channel.msps.signers(signed(A.admin, B.admin))
    assert channel.policies.satisfied("/Channel/Admins", three)
    assert not channel.policies.satisfied("/Channel/Admins", two)
    assert channel.policies.satisfied("/Channel/Application/Admins", two)


def test_nobody_satisfies_a_policy_that_is_not_there() -> None:
    channel = configuration()
    everybody = channel.msps.signers(signed(A.peer, B.peer, C.peer))
    for path in ("/Channel/Application/Nothing", "/Channel/Nowhere/Admins", "/Elsewhere/Admins", "Admins", ""):
        assert not channel.policies.has(path)
        assert not channel.policies.satisfied(path, everybody)


def test_a_policy_of_nobody_is_satisfied_by_nobody() -> None:
    def change(group: Any) -> None:
        application = group.groups["Application"]
        for msp in MSPS:
            del application.groups[msp]
        set_policy(application, "Endorsement", IMPLICIT_META, implicit_policy("MAJORITY", "Endorsement"))

    assert configuration(change).policies.satisfied("/Channel/Application/Endorsement", [])


def test_policies_of_unknown_kinds_are_refused() -> None:
    def change(group: Any) -> None:
        for name, kind, value in (
            ("Strange", 2, b""),
            ("Broken", SIGNATURE, b"\xff"),
            ("Odd", IMPLICIT_META, b"\x10\x09"),
        ):
            policy = policies_pb2.Policy(type=kind, value=value)
            group.policies[name].CopyFrom(configtx_pb2.ConfigPolicy(policy=policy))

    channel = configuration(change)
    for name in ("Strange", "Broken", "Odd"):
        with pytest.raises(ConfigurationInvalid):
            channel.policies.satisfied(f"/Channel/{name}", [])


# Configurations


def capability(group: Any, name: str) -> None:
    value = configuration_pb2.Capabilities(capabilities={name: configuration_pb2.Capability()})
    group.values["Capabilities"].value = value.SerializeToString()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda group: group.groups.pop("Application"), "has no part Application"),
        (lambda group: group.groups.pop("Orderer"), "has no part Orderer"),
        (lambda group: capability(group, "V3_0"), "demands the Channel capability V3_0, which is not known here"),
        (lambda group: capability(group, "V1_3"), "lacks the Channel capability V1_4_3 or V2_0"),
        (lambda group: group.values.pop("Capabilities"), "lacks the Channel capability"),
        (lambda group: capability(group.groups["Application"], "V1_4_2"), "lacks the Application capability"),
        (lambda group: group.groups["Application"].groups["HospitalA"].values.pop("MSP"), "HospitalA has no MSP"),
        (
            lambda group: setattr(group.groups["Application"].groups["HospitalA"].values["MSP"], "value", b"\x08\x01"),
            "is not one of X.509 certificates",
        ),
        (
            lambda group: setattr(group.groups["Application"].groups["HospitalA"].values["MSP"], "value", b"\xff"),
            "cannot be read",
        ),
    ],
)
def test_configurations_that_are_not_known_here_are_refused(change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=message):
        configuration(change)


def test_bytes_that_are_no_configuration_are_refused() -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        Configuration.of_envelope("test", b"\xff")
