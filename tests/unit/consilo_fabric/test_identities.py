"""Certificates under an MSP: which count, and for what. Generates keys."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from fabric_protos.msp import msp_config_pb2

from consilo.fabric import chains
from consilo.fabric.errors import IdentityInvalid
from consilo.fabric.identities import Msp
from tests.fabric_members import FabricOrganisation, Signer, organisation
from tests.unit.consilo_fabric.certificates import ORGANISATION, certificate, leaf, msp, name, pem, subject

# Roles


@pytest.mark.parametrize("role", ["client", "peer", "admin", "orderer"])
def test_the_unit_tells_the_role(role: str) -> None:
    own = msp()
    identity = own.identity(ORGANISATION.issue(role).pem)
    assert identity.msp == "HospitalA"
    own.check(identity)
    held = {each for each in ("MEMBER", "CLIENT", "PEER", "ADMIN", "ORDERER") if own.has_role(identity, each)}
    assert held == {"MEMBER", role.upper()}


@pytest.mark.parametrize("units", [(), ("nurse",), ("peer", "client")])
def test_a_certificate_of_no_role_or_of_two_is_not_valid(units: tuple[str, ...]) -> None:
    own = msp()
    identity = own.identity(leaf(units=units))
    with pytest.raises(IdentityInvalid, match="has not one role"):
        own.check(identity)
    assert not any(own.has_role(identity, role) for role in ("MEMBER", "CLIENT", "PEER"))


def test_without_units_of_nodes_everybody_is_a_member_and_nothing_else() -> None:
    own = msp(fabric_node_ous=None)
    identity = own.identity(leaf(units=()))
    assert own.has_role(identity, "MEMBER")
    assert not own.has_role(identity, "PEER")


def test_a_listed_administrator_is_one_whatever_its_unit() -> None:
    client = ORGANISATION.client
    own = msp(admins=[client.pem])
    assert own.has_role(own.identity(client.pem), "ADMIN")
    assert not own.has_role(own.identity(ORGANISATION.issue("client").pem), "ADMIN")


def test_an_msp_that_demands_a_unit_knows_no_others() -> None:
    unit = msp_config_pb2.FabricOUIdentifier(
        certificate=ORGANISATION.authority.pem, organizational_unit_identifier="cardiology"
    )
    own = msp(organizational_unit_identifiers=[unit])
    assert own.is_valid(own.identity(leaf(units=("peer", "cardiology"))))
    with pytest.raises(IdentityInvalid, match="in no organisational unit"):
        own.check(own.identity(leaf(units=("peer",))))


def test_a_revoked_certificate_is_not_valid() -> None:
    gone, left = ORGANISATION.issue("peer"), ORGANISATION.issue("peer")
    own = Msp(ORGANISATION.msp_configuration(gone))
    assert own.is_valid(own.identity(left.pem))
    with pytest.raises(IdentityInvalid, match="revoked"):
        own.check(own.identity(gone.pem))


def test_a_revocation_list_of_another_ca_revokes_nothing() -> None:
    peer = ORGANISATION.issue("peer")
    impostor = FabricOrganisation("HospitalA", organisation("HospitalA", "impostor").authority)
    lists = msp_config_pb2.FabricMSPConfig.FromString(impostor.msp_configuration(peer)).revocation_list
    own = msp(revocation_list=list(lists))
    assert own.is_valid(own.identity(peer.pem))


# Chains


def test_an_intermediate_ca_issues_and_its_root_does_no_more() -> None:
    root = ORGANISATION.authority
    builder, key = certificate(root.certificate.subject, common="intermediate", units=(), authority=True)
    intermediate = pem(builder, root.key)
    own = msp(intermediate_certs=[intermediate], fabric_node_ous=None)
    below, _ = certificate(subject(intermediate))
    identity = own.identity(pem(below, key))
    assert [issuer.subject for issuer in identity.issuers] == [subject(intermediate), root.certificate.subject]
    with pytest.raises(IdentityInvalid, match="a CA of HospitalA that issues CAs"):
        own.identity(leaf())


def test_an_issuer_of_the_same_name_does_not_count() -> None:
    builder, _ = certificate(ORGANISATION.authority.certificate.subject)
    with pytest.raises(IdentityInvalid, match="in 0 ways"):
        msp().identity(pem(builder, organisation("HospitalA", "impostor").authority.key))


def test_two_ways_to_a_root_are_one_too_many() -> None:
    root = ORGANISATION.authority
    twin, _ = certificate(root.certificate.subject, common="ca.HospitalA", units=(), authority=True, key=root.key)
    with pytest.raises(IdentityInvalid, match="in 2 ways"):
        msp(root_certs=[root.pem, pem(twin, root.key)], fabric_node_ous=None).identity(leaf())


@pytest.mark.parametrize(("path_length", "good"), [(0, False), (1, True), (None, True)])
def test_the_length_of_a_path_is_bounded_by_its_cas(path_length: int | None, *, good: bool) -> None:
    root_builder, root_key = certificate(name("root"), common="root", units=(), authority=True, path_length=path_length)
    root = pem(root_builder, root_key)
    builder, key = certificate(subject(root), common="intermediate", units=(), authority=True, path_length=0)
    intermediate = pem(builder, root_key)
    own = msp(root_certs=[root], intermediate_certs=[intermediate], fabric_node_ous=None)
    below, _ = certificate(subject(intermediate))
    if good:
        assert len(own.identity(pem(below, key)).issuers) == 2
    else:
        with pytest.raises(IdentityInvalid, match="in 0 ways"):
            own.identity(pem(below, key))


@pytest.mark.parametrize(
    ("usages", "good"),
    [
        ((ExtendedKeyUsageOID.CLIENT_AUTH,), False),
        ((ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), True),
        ((ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), True),
    ],
    ids=["client", "server-too", "any"],
)
def test_extended_usages_count_as_go_counts_them(usages: tuple[x509.ObjectIdentifier, ...], *, good: bool) -> None:
    data = leaf(change=lambda builder: builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False))
    if good:
        msp().identity(data)
    else:
        with pytest.raises(IdentityInvalid):
            msp().identity(data)


def test_a_critical_extension_that_nobody_knows_does_not_count() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    msp().identity(leaf(change=lambda builder: builder.add_extension(unknown, critical=False)))
    with pytest.raises(IdentityInvalid):
        msp().identity(leaf(change=lambda builder: builder.add_extension(unknown, critical=True)))


def test_no_clock_is_read_but_a_chain_must_have_been_valid_at_its_start() -> None:
    msp().identity(leaf(days=1))  # it ended long ago
    builder, key = certificate(name("root"), common="root", units=(), authority=True, days=2)
    root = pem(builder, key)
    own = msp(root_certs=[root], fabric_node_ous=None)
    for start in (0, 1):
        own.identity(pem(certificate(subject(root), start=start)[0], key))
    with pytest.raises(IdentityInvalid, match="in 0 ways"):
        own.identity(pem(certificate(subject(root), start=3)[0], key))


def test_a_ca_and_a_foreign_key_are_no_identities() -> None:
    own = msp()
    with pytest.raises(IdentityInvalid, match="a CA's certificate is no identity"):
        own.identity(ORGANISATION.authority.pem)
    with pytest.raises(IdentityInvalid, match="not on the curve"):
        own.identity(leaf(key=rsa.generate_private_key(65537, 2048)))
    with pytest.raises(IdentityInvalid, match="not on the curve"):
        own.identity(leaf(key=ec.generate_private_key(ec.SECP521R1())))
    own.identity(leaf(key=ec.generate_private_key(ec.SECP384R1())))


@pytest.mark.parametrize(
    "data", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_no_identity(data: bytes) -> None:
    own = msp()
    for _ in range(2):  # the second time it is remembered
        with pytest.raises(IdentityInvalid, match="cannot be read"):
            own.identity(data)


def test_one_certificate_is_one_identity_however_its_issuer_s_signature_is_spelled() -> None:
    own = msp()
    builder, _ = certificate(ORGANISATION.authority.certificate.subject)
    spelled = {pem(builder, ORGANISATION.authority.key) for _ in range(2)}  # ECDSA draws a number for each signature
    assert len(spelled) == 2
    assert len({own.identity(data) for data in spelled}) == 1


# Signatures


def test_signatures_must_be_right_and_spelled_in_one_way() -> None:
    peer: Signer = ORGANISATION.peer
    key = peer.key.public_key()
    signature = peer.sign(b"data")
    assert chains.verify(key, signature, b"data")
    assert chains.verify(key, signature + b"more", b"data")  # Fabric reads to the end of the structure only
    for wrong in (b"", b"\x30", signature[:-1], b"\x31" + signature[1:], peer.sign(b"data", low_s=False)):
        assert not chains.verify(key, wrong, b"data")
    assert not chains.verify(key, signature, b"other")
    assert not chains.verify(organisation("HospitalB").peer.key.public_key(), signature, b"data")
