"""Which chains lead to an organisation's roots, with real certificates; and attacks on them."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from consilo.protocol import certificates as limits
from consilo.protocol.certificates import (
    CertificateError,
    check_roots,
    read_certificate,
    roots_digest,
    verify_chain,
)
from consilo.protocol.errors import ProtocolError
from tests.unit.identity.factory import (
    DAY,
    NOW,
    Issuer,
    key_usage,
    make_issuer,
    make_leaf,
)

ROOT = make_issuer()
LEAF = make_leaf(ROOT)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(CertificateError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.message == str(caught.value)
    return caught.value.code


def chain_code(*certificates: bytes, roots: tuple[bytes, ...] = (ROOT.der,), time: int = NOW) -> str:
    return code_of(verify_chain, certificates, roots, time)


def test_a_leaf_under_the_organisations_root_is_trusted() -> None:
    chain = verify_chain([LEAF], [ROOT.der], NOW)

    assert chain.member == read_certificate(LEAF)
    assert chain.serials == (chain.member.serial,)
    assert (chain.not_before, chain.not_after) == (NOW - DAY, NOW + 30 * DAY)


def test_intermediates_count_and_their_serials_are_told() -> None:
    upper = make_issuer("upper", parent=ROOT)
    lower = make_issuer("lower", parent=upper, end=NOW + 2 * DAY)
    leaf = make_leaf(lower)

    chain = verify_chain([leaf, lower.der, upper.der], [make_issuer("other").der, ROOT.der], NOW)

    assert chain.serials == (
        read_certificate(leaf).serial,
        f"{lower.certificate.serial_number:x}",
        f"{upper.certificate.serial_number:x}",
    )
    assert chain.not_after == NOW + 2 * DAY


def test_a_p384_root_is_accepted() -> None:
    root = make_issuer(key=ec.generate_private_key(ec.SECP384R1()))
    assert verify_chain([make_leaf(root)], [root.der], NOW).member.role == "silo"


@pytest.mark.parametrize(
    "key", [RSA_KEY, ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_roots_of_other_kinds_of_keys_are_refused(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    root = make_issuer(key=key)
    assert chain_code(make_leaf(root), roots=(root.der,)) == "certificate-malformed"


def test_another_organisations_authority_cannot_issue_our_members() -> None:
    assert chain_code(make_leaf(make_issuer("HospitalB CA"))) == "certificate-untrusted"


def test_an_authority_of_the_same_name_with_another_key_is_not_ours() -> None:
    assert chain_code(make_leaf(make_issuer("HospitalA CA"))) == "certificate-untrusted"


def test_an_intermediate_of_another_organisation_is_not_trusted() -> None:
    foreign = make_issuer("foreign", parent=make_issuer("HospitalB CA"))
    assert chain_code(make_leaf(foreign), foreign.der) == "certificate-untrusted"


def test_a_member_cannot_issue_members() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    member = make_leaf(ROOT, key=key)
    as_issuer = Issuer(x509.load_der_x509_certificate(member), key)
    assert chain_code(make_leaf(as_issuer), member) == "certificate-malformed"


def test_an_authority_is_no_member() -> None:
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("consilo://HospitalA/silo/x")])
    issuer = make_issuer("both", parent=ROOT, extensions=[(uri, False)])
    assert chain_code(issuer.der) == "certificate-malformed"


def test_a_leaf_among_the_roots_does_not_vouch_for_itself() -> None:
    assert chain_code(LEAF, roots=(LEAF,)) == "certificate-malformed"


@pytest.mark.parametrize("ca", [False, None])
def test_a_root_that_is_no_authority_is_refused(ca: bool | None) -> None:
    root = make_issuer(ca=ca)
    assert chain_code(make_leaf(root), roots=(root.der,)) == "certificate-malformed"
    assert code_of(check_roots, [ROOT.der, root.der]) == "certificate-malformed"


def test_a_chain_holds_the_path_and_nothing_else() -> None:
    issuer = make_issuer("issuing", parent=ROOT)
    leaf = make_leaf(issuer)
    other = make_issuer("other", parent=ROOT)
    assert verify_chain([leaf, issuer.der], [ROOT.der], NOW).member.role == "silo"

    assert chain_code(leaf) == "certificate-untrusted"
    assert chain_code(leaf, issuer.der, other.der) == "certificate-untrusted"
    assert chain_code(leaf, issuer.der, issuer.der) == "certificate-untrusted"
    assert chain_code(leaf, issuer.der, ROOT.der) == "certificate-untrusted"
    assert chain_code(leaf, leaf, issuer.der) == "certificate-malformed"
    assert chain_code(issuer.der, leaf) == "certificate-malformed"


def test_intermediates_out_of_order_are_refused() -> None:
    upper = make_issuer("upper", parent=ROOT)
    lower = make_issuer("lower", parent=upper)
    assert chain_code(make_leaf(lower), upper.der, lower.der) == "certificate-untrusted"


def test_two_leaves_are_no_chain() -> None:
    assert chain_code(LEAF, make_leaf(ROOT)) == "certificate-malformed"


def test_the_path_is_not_longer_than_its_issuers_allow() -> None:
    root = make_issuer("strict", path_length=0)
    issuer = make_issuer("issuing", parent=root)
    assert chain_code(make_leaf(issuer), issuer.der, roots=(root.der,)) == "certificate-untrusted"


def test_a_chain_has_a_bounded_number_of_certificates() -> None:
    issuers = [ROOT]
    for depth in range(limits.MAX_CERTIFICATES):
        issuers.append(make_issuer(f"ca {depth}", parent=issuers[-1]))
    longest = [make_leaf(issuers[-2]), *(issuer.der for issuer in issuers[-2:0:-1])]
    assert len(longest) == limits.MAX_CERTIFICATES
    assert verify_chain(longest, [ROOT.der], NOW).member.role == "silo"

    too_long = [make_leaf(issuers[-1]), *(issuer.der for issuer in issuers[:0:-1])]
    assert chain_code(*too_long) == "certificate-malformed"
    assert chain_code() == "certificate-malformed"


def test_an_organisation_has_a_bounded_number_of_different_roots() -> None:
    assert code_of(check_roots, []) == "certificate-malformed"
    assert code_of(check_roots, [ROOT.der, ROOT.der]) == "certificate-malformed"
    assert code_of(check_roots, [ROOT.der] * (limits.MAX_ROOTS + 1)) == "certificate-malformed"
    assert code_of(check_roots, [b"no certificate"]) == "certificate-malformed"
    assert chain_code(LEAF, roots=()) == "certificate-malformed"
    check_roots([ROOT.der, make_issuer("next").der])


@pytest.mark.parametrize("time", [NOW - DAY - 1, NOW + 30 * DAY + 1, -1, 10**18, -(10**30)])
def test_a_chain_counts_only_while_its_leaf_is_valid(time: int) -> None:
    assert chain_code(LEAF, time=time) == "certificate-expired"


@pytest.mark.parametrize("time", [NOW - DAY, NOW + 30 * DAY])
def test_the_ends_of_the_validity_are_included(time: int) -> None:
    assert verify_chain([LEAF], [ROOT.der], time).member.role == "silo"


def test_an_expired_intermediate_is_told() -> None:
    issuer = make_issuer("issuing", parent=ROOT, end=NOW - 1000)
    assert chain_code(make_leaf(issuer), issuer.der) == "certificate-expired"


def test_an_expired_root_no_longer_vouches() -> None:
    root = make_issuer(end=NOW - 1000)
    leaf = make_leaf(root)
    assert chain_code(leaf, roots=(root.der,)) == "certificate-expired"
    assert chain_code(leaf, roots=(root.der, make_issuer("other").der)) == "certificate-untrusted"


def test_a_root_renewed_with_its_old_key_takes_the_old_ones_place() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    old, new = make_issuer(key=key, end=NOW - 1000), make_issuer(key=key)
    assert verify_chain([make_leaf(old)], [old.der, new.der], NOW).member.role == "silo"


def test_a_certificate_for_servers_is_not_a_members() -> None:
    assert chain_code(make_leaf(ROOT, extended=ExtendedKeyUsageOID.SERVER_AUTH)) == "certificate-untrusted"
    assert verify_chain([make_leaf(ROOT, extended=None)], [ROOT.der], NOW).member.role == "silo"


def test_a_key_that_may_not_sign_is_refused() -> None:
    assert chain_code(make_leaf(ROOT, usage=key_usage())) == "certificate-malformed"


def test_an_unknown_critical_extension_is_refused_and_another_let_pass() -> None:
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert chain_code(make_leaf(ROOT, extensions=[(unknown, True)])) == "certificate-untrusted"
    assert verify_chain([make_leaf(ROOT, extensions=[(unknown, False)])], [ROOT.der], NOW).member.role == "silo"


@pytest.mark.parametrize(
    "constraint", [x509.UniformResourceIdentifier("hospital-b.example"), x509.UniformResourceIdentifier("HospitalA")]
)
def test_constraints_on_uris_are_never_overlooked(constraint: x509.GeneralName) -> None:
    constraints = x509.NameConstraints(permitted_subtrees=[constraint], excluded_subtrees=None)
    issuer = make_issuer("constrained", parent=ROOT, extensions=[(constraints, True)])
    assert chain_code(make_leaf(issuer), issuer.der) == "certificate-untrusted"


def test_a_changed_byte_breaks_the_chain() -> None:
    changed = LEAF.replace(b"silo-1", b"silo-2")
    assert changed != LEAF
    assert chain_code(changed) == "certificate-untrusted"


# Roots


def test_the_digest_of_roots_knows_no_order() -> None:
    other = make_issuer("other").der
    assert roots_digest([ROOT.der, other]) == roots_digest([other, ROOT.der])
    assert roots_digest([ROOT.der]) != roots_digest([other])
    assert re.fullmatch("[0-9a-f]{64}", roots_digest([ROOT.der]))
    assert roots_digest([]) == hashlib.sha256(b"").hexdigest()


def test_the_errors_are_the_protocols() -> None:
    assert issubclass(CertificateError, ProtocolError)


# Any bytes


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A certificate with some bytes changed, left out or put in."""
    data = bytearray(draw(st.sampled_from([LEAF, ROOT.der])))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data) - 1))
        data[position : position + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@given(
    st.lists(st.binary(max_size=50) | damaged() | st.just(LEAF), max_size=3),
    st.lists(damaged() | st.just(ROOT.der), max_size=2),
    st.integers(NOW - 2 * DAY, NOW + 2 * DAY) | st.integers(),
)
def test_verifying_any_bytes_raises_nothing_but_the_packages_errors(
    certificates: list[bytes], roots: list[bytes], time: int
) -> None:
    with suppress(CertificateError):
        chain = verify_chain(certificates, roots, time)
        assert chain.not_before <= time <= chain.not_after
        assert certificates == [LEAF]
