"""Signatures are the ones that Fabric admits, and say what was signed."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from fabric_protos.msp import identities_pb2

from consilo.protocol.certificates import P256_ORDER
from services.ledger.fabric.signing import ClientIdentity, signer, with_low_s

KEY = ec.generate_private_key(ec.SECP256R1())


def test_every_signature_has_the_low_s_and_is_of_the_digest() -> None:
    sign = signer(KEY)
    for number in range(64):  # half of them would have the high one
        message = b"message %d" % number
        signature = sign(hashlib.sha256(message).digest())
        assert decode_dss_signature(signature)[1] <= P256_ORDER // 2
        KEY.public_key().verify(signature, message, ec.ECDSA(SHA256()))


@pytest.mark.parametrize(
    ("s", "low"),
    [(1, 1), (P256_ORDER // 2, P256_ORDER // 2), (P256_ORDER // 2 + 1, P256_ORDER // 2), (P256_ORDER - 1, 1)],
    ids=["lowest", "last-low", "first-high", "highest"],
)
def test_a_high_s_becomes_the_low_one_of_the_same_signature(s: int, low: int) -> None:
    assert decode_dss_signature(with_low_s(encode_dss_signature(7, s))) == (7, low)


def test_a_key_of_another_curve_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="secp384r1"):
        signer(ec.generate_private_key(ec.SECP384R1()))


def test_an_identity_tells_its_msp_and_certificate_and_keeps_its_key_out_of_sight() -> None:
    identity = ClientIdentity("HospitalA", b"-----BEGIN CERTIFICATE-----", signer(KEY), expires_at=1)
    creator = identities_pb2.SerializedIdentity.FromString(identity.creator)
    assert (creator.mspid, creator.id_bytes) == ("HospitalA", b"-----BEGIN CERTIFICATE-----")
    assert repr(identity) == "ClientIdentity(msp='HospitalA', expires_at=1)"
    KEY.public_key().verify(identity.sign_message(b"words"), b"words", ec.ECDSA(SHA256()))
