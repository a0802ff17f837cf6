"""MSPs that cannot be used. Generates keys."""

from __future__ import annotations

import pytest
from cryptography import x509
from fabric_protos.msp import msp_config_pb2

from consilo.fabric.errors import ConfigurationInvalid
from consilo.fabric.identities import Msp
from tests.fabric_members import organisation
from tests.unit.consilo_fabric.certificates import ORGANISATION, certificate, msp, name, pem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"root_certs": []}, "no root certificate"),
        ({"root_certs": [b"none"]}, "cannot be used"),
        ({"root_certs": [ORGANISATION.peer.pem]}, "is not one"),
        ({"revocation_list": [b"none"]}, "cannot be used"),
        ({"intermediate_certs": [organisation("HospitalB").authority.pem]}, "in 0 ways"),
        (
            {"crypto_config": msp_config_pb2.FabricCryptoConfig(signature_hash_family="SHA3")},
            "other hashes than SHA-256",
        ),
        (
            {
                "organizational_unit_identifiers": [
                    msp_config_pb2.FabricOUIdentifier(
                        certificate=organisation("HospitalB").authority.pem, organizational_unit_identifier="x"
                    )
                ]
            },
            "none of its own",
        ),
        (
            {
                "organizational_unit_identifiers": [
                    msp_config_pb2.FabricOUIdentifier(certificate=b"?", organizational_unit_identifier="x")
                ]
            },
            "names no certificate",
        ),
    ],
    ids=["no-root", "no-certificate", "no-ca", "no-list", "stray", "hashes", "foreign-unit", "empty-unit"],
)
def test_an_msp_that_cannot_be_used_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=message):
        msp(**fields)


def test_name_constraints_are_not_known_here() -> None:
    constraints = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example")], excluded_subtrees=None)
    builder, key = certificate(
        name("root"),
        common="root",
        units=(),
        authority=True,
        change=lambda each: each.add_extension(constraints, critical=True),
    )
    with pytest.raises(ConfigurationInvalid, match="name constraints"):
        msp(root_certs=[pem(builder, key)])


def test_bytes_that_are_no_msp_are_refused() -> None:
    with pytest.raises(ConfigurationInvalid):
        Msp(b"\xff")
