"""What a member's certificate and its signature must be, with real certificates; and attacks on both."""

from __future__ import annotations

import hashlib
import warnings
from contextlib import suppress
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import example, given
from hypothesis import strategies as st

from consilo.protocol import certificates as limits
from consilo.protocol.certificates import (
    P256_ORDER,
    ROLES,
    CertificateError,
    read_certificate,
    verify_chain,
    verify_signature,
)
from tests.unit.identity.factory import (
    DAY,
    NOW,
    make_identity,
    make_issuer,
    make_leaf,
    raw_uris,
)

ROOT = make_issuer()
LEAF = make_leaf(ROOT)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
IDENTITY = make_identity(ROOT)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CertificateError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.message == str(caught.value)
    return caught.value.code


# Reading


def test_a_certificate_says_who_the_member_is() -> None:
    leaf = make_leaf(ROOT, "consilo://Hospital-A.example/verifier/night-shift", serial=0xABC)

    certificate = read_certificate(leaf)

    assert (certificate.msp, certificate.role, certificate.name) == ("Hospital-A.example", "verifier", "night-shift")
    assert certificate.member == "Hospital-A.example/night-shift"
    assert certificate.serial == "abc"
    assert certificate.fingerprint == hashlib.sha256(leaf).hexdigest()
    assert (certificate.not_before, certificate.not_after) == (NOW - DAY, NOW + 30 * DAY)
    assert "public_key" not in repr(certificate)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_can_be_named(role: str) -> None:
    assert read_certificate(make_leaf(ROOT, f"consilo://A/{role}/x")).role == role


@pytest.mark.parametrize(
    "uri",
    [
        "consilo://HospitalA/king/silo-1",
        "consilo://HospitalA/Silo/silo-1",
        "consilo://HospitalA/silo/Silo-1",
        "CONSILO://HospitalA/silo/silo-1",
        "consilo:/HospitalA/silo/silo-1",
        "consilo://HospitalA/silo/silo-1/",
        "consilo://HospitalA/silo/silo-1/operator",
        "consilo://HospitalA//silo/silo-1",
        "consilo://HospitalA/silo/",
        "consilo:///silo/silo-1",
        "consilo://HospitalA/silo/silo-1?role=operator",
        "consilo://HospitalA/silo/silo-1#operator",
        "consilo://HospitalA:443/silo/silo-1",
        "consilo://user@HospitalA/silo/silo-1",
        "consilo://HospitalA/silo/silo%2D1",
        "consilo://HospitalA/silo/%73ilo-1",
        "consilo://HospitalA/silo/../operator/silo-1",
        "consilo://HospitalA/silo/-silo",
        "consilo://HospitalA/silo/silo-",
        "consilo://HospitalA/silo/" + "a" * 64,
        "consilo://" + "A" * 65 + "/silo/silo-1",
        "consilo://.HospitalA/silo/silo-1",
        " consilo://HospitalA/silo/silo-1",
        "consilo://HospitalA/silo/silo-1\n",
        "consilo://HospitalA/silo/silo-1\x00",
        "https://HospitalA/silo/silo-1",
        "silo",
        "",
    ],
)
def test_a_uri_that_is_not_exactly_the_members_path_gives_no_role(uri: str) -> None:
    assert code_of(read_certificate, make_leaf(ROOT, uri)) == "certificate-role-missing"


@pytest.mark.parametrize(
    "uri",
    [
        "consilo://HospitalА/silo/silo-1".encode(),  # a Cyrillic A
        "consilo://HospitalA/silo/sılo-1".encode(),  # a dotless i
        "consilo://HospitalA/silo/silo\u20101".encode(),  # another hyphen
        "consilo://HospitalA/silo/silo-１".encode(),  # a full-width digit
        b"consilo://HospitalA/silo/silo-1\xff",
    ],
)
def test_a_uri_with_letters_that_only_look_right_is_refused(uri: bytes) -> None:
    assert code_of(read_certificate, make_leaf(ROOT, raw_names=raw_uris(uri))) in {
        "certificate-malformed",
        "certificate-role-missing",
    }


def test_a_certificate_without_a_uri_gives_no_role() -> None:
    assert code_of(read_certificate, make_leaf(ROOT, None)) == "certificate-role-missing"
    assert code_of(read_certificate, make_leaf(ROOT, names=[x509.DNSName("a.example")])) == "certificate-role-missing"


def test_a_certificate_with_two_uris_gives_no_role() -> None:
    two = raw_uris(b"consilo://HospitalA/silo/silo-1", b"consilo://HospitalA/operator/b")
    assert code_of(read_certificate, make_leaf(ROOT, raw_names=two)) == "certificate-role-missing"


def test_a_host_name_beside_the_uri_does_no_harm() -> None:
    names = [x509.DNSName("silo.example"), x509.UniformResourceIdentifier("consilo://HospitalA/silo/silo-1")]
    assert verify_chain([make_leaf(ROOT, names=names)], [ROOT.der], NOW).member.member == "HospitalA/silo-1"


@pytest.mark.parametrize(
    "key", [RSA_KEY, ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()], ids=type
)
def test_a_member_has_a_p256_key_and_no_other(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    assert code_of(read_certificate, make_leaf(ROOT, key=key)) == "certificate-malformed"


def test_bytes_after_the_certificate_are_refused() -> None:
    assert code_of(read_certificate, LEAF + b"\x00") == "certificate-malformed"


def test_a_leaf_that_may_issue_certificates_is_refused() -> None:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    assert code_of(read_certificate, make_leaf(ROOT, extensions=[(constraints, True)])) == "certificate-malformed"


@pytest.mark.parametrize("warnings_are", ["error", "ignore"])
def test_a_serial_number_that_is_not_positive_is_refused(
    warnings_are: Literal["error", "ignore"], recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter(warnings_are)
    leaf = make_leaf(ROOT, serial=0x7FABCD)
    for serial in (b"\x80\xab\xcd", b"\x00\x00\x00"):
        changed = leaf.replace(b"\x02\x03\x7f\xab\xcd", b"\x02\x03" + serial)
        assert code_of(read_certificate, changed) == "certificate-malformed"


def test_a_huge_certificate_is_refused_before_it_is_parsed() -> None:
    padding = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), bytes(limits.MAX_CERTIFICATE_BYTES))
    assert code_of(read_certificate, make_leaf(ROOT, extensions=[(padding, False)])) == "certificate-malformed"


# Signatures


def test_a_members_signature_is_accepted_for_its_message_alone() -> None:
    signature = IDENTITY.sign(b"message")
    verify_signature(IDENTITY.certificate, signature, b"message")

    assert code_of(verify_signature, IDENTITY.certificate, signature, b"massage") == "signature-invalid"
    assert code_of(verify_signature, read_certificate(LEAF), signature, b"message") == "signature-invalid"


def test_the_other_s_of_a_signature_is_refused() -> None:
    signature = IDENTITY.sign(b"message")
    s = int.from_bytes(signature[32:], "big")
    twin = signature[:32] + (P256_ORDER - s).to_bytes(32, "big")
    assert code_of(verify_signature, IDENTITY.certificate, twin, b"message") == "signature-invalid"


@given(st.binary(max_size=130) | st.binary(min_size=64, max_size=64))
@example(bytes(64))
@example(b"\xff" * 64)
@example(P256_ORDER.to_bytes(32, "big") + bytes(31) + b"\x01")
@example(bytes(31) + b"\x01" + bytes(32))
def test_no_bytes_pass_as_a_signature_or_raise_anything_else(signature: bytes) -> None:
    assert code_of(verify_signature, IDENTITY.certificate, signature, b"message") == "signature-invalid"


# Any bytes


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A certificate with some bytes changed, left out or put in."""
    data = bytearray(draw(st.sampled_from([LEAF, ROOT.der])))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data) - 1))
        data[position : position + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@given(st.binary(max_size=200) | damaged())
@example(b"")
@example(b"\x30\x80")
def test_reading_any_bytes_raises_nothing_but_the_packages_errors(data: bytes) -> None:
    with suppress(CertificateError):
        read_certificate(data)
