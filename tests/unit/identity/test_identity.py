"""An identity signs, and keeps its key to itself."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from consilo.identity.errors import IdentityError
from consilo.identity.identity import Identity
from consilo.protocol.certificates import P256_ORDER, CertificateError, verify_signature
from tests.unit.identity.factory import make_identity, make_issuer, make_leaf

ROOT = make_issuer()
IDENTITY = make_identity(ROOT)


def test_signatures_are_64_bytes_with_the_lower_s() -> None:
    for number in range(64):
        message = number.to_bytes(1, "big")
        signature = IDENTITY.sign(message)
        assert len(signature) == 64
        assert int.from_bytes(signature[32:], "big") <= P256_ORDER // 2
        verify_signature(IDENTITY.certificate, signature, message)


def test_an_identity_shows_who_it_is_and_not_its_key() -> None:
    serial = IDENTITY.certificate.serial
    assert repr(IDENTITY) == f"Identity(member='HospitalA/silo-1', role='silo', serial='{serial}')"
    assert not hasattr(IDENTITY, "__dict__")


@pytest.mark.parametrize("leak", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_identity_is_not_copied_or_pickled(leak: object) -> None:
    with pytest.raises(TypeError, match="private key"):
        leak(IDENTITY)  # type: ignore[operator]


def test_a_key_that_is_not_the_certificates_makes_no_identity() -> None:
    with pytest.raises(IdentityError, match="not that of the member's certificate"):
        Identity((make_leaf(ROOT),), ec.generate_private_key(ec.SECP256R1()))


def test_an_identity_needs_a_members_certificate() -> None:
    assert isinstance(ROOT.key, ec.EllipticCurvePrivateKey)
    with pytest.raises(CertificateError):
        Identity((ROOT.der,), ROOT.key)
    with pytest.raises(IdentityError, match="at least the member's own"):
        Identity((), ROOT.key)
