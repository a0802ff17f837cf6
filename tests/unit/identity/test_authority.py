"""An organisation's CA, the members it issues, and their files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consilo.identity import files
from consilo.identity.authority import Authority, record_issued
from consilo.identity.errors import AuthorityError, IdentityFileError
from consilo.identity.identity import Identity
from consilo.protocol.certificates import ROLES, CertificateError, verify_chain, verify_signature
from consilo.protocol.values import Role
from tests.unit.identity.factory import DAY, NOW, Issuer, make_issuer

AUTHORITY = Authority.create("HospitalA", now=NOW)


@pytest.mark.parametrize("role", ROLES)
def test_an_issued_member_is_trusted_under_its_organisations_roots(role: Role) -> None:
    identity = AUTHORITY.issue(role, "night-shift", now=NOW)

    chain = verify_chain(identity.certificates, AUTHORITY.roots, NOW)

    assert (chain.member.member, chain.member.role) == ("HospitalA/night-shift", role)
    assert (identity.member, identity.msp, identity.role) == ("HospitalA/night-shift", "HospitalA", role)
    verify_signature(chain.member, identity.sign(b"message"), b"message")


def test_the_root_of_one_organisation_does_not_vouch_for_another() -> None:
    identity = AUTHORITY.issue("silo", "silo-1", now=NOW)
    with pytest.raises(CertificateError) as caught:
        verify_chain(identity.certificates, Authority.create("HospitalA", now=NOW).roots, NOW)
    assert caught.value.code == "certificate-untrusted"


def test_certificates_are_dated_back_for_clocks_that_are_behind() -> None:
    identity = AUTHORITY.issue("silo", "silo-1", now=NOW, validity_days=1)
    assert (identity.certificate.not_before, identity.certificate.not_after) == (NOW - 300_000, NOW + DAY)
    verify_chain(identity.certificates, AUTHORITY.roots, NOW - 300_000)


def test_a_member_does_not_outlive_its_authority() -> None:
    authority = Authority.create("HospitalA", now=NOW, validity_days=10)
    assert authority.issue("silo", "silo-1", now=NOW, validity_days=365).certificate.not_after == NOW + 10 * DAY


@pytest.mark.parametrize("time", [NOW - DAY, NOW + 10 * DAY])
def test_an_authority_issues_only_while_it_is_valid(time: int) -> None:
    authority = Authority.create("HospitalA", now=NOW, validity_days=10)
    with pytest.raises(AuthorityError) as caught:
        authority.issue("silo", "silo-1", now=time)
    assert caught.value.code == "authority-expired"


def test_serial_numbers_do_not_repeat() -> None:
    serials = {AUTHORITY.issue("silo", "silo-1", now=NOW).certificate.serial for _ in range(20)}
    assert len(serials) == 20


def test_the_root_may_issue_members_and_no_further_authority() -> None:
    root = x509.load_der_x509_certificate(AUTHORITY.certificates[0])
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert root.not_valid_after_utc - root.not_valid_before_utc == timedelta(days=3650, seconds=300)


@pytest.mark.parametrize("msp", ["", "Hospital A", "HospitalA/x", "-A", "A" * 65, "HospitalА", "A\n"])
def test_names_that_are_no_msp_ids_are_refused(msp: str) -> None:
    with pytest.raises(AuthorityError, match="MSP id"):
        Authority.create(msp, now=NOW)


@pytest.mark.parametrize("name", ["", "Silo", "silo/operator", "../x", "-a", "a-", "a" * 64, "a\n"])
def test_names_that_are_no_members_are_refused(name: str) -> None:
    with pytest.raises(AuthorityError, match="member's name"):
        AUTHORITY.issue("silo", name, now=NOW)


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_impossible_validities_are_refused(days: int) -> None:
    with pytest.raises(AuthorityError) as caught:
        AUTHORITY.issue("silo", "silo-1", now=NOW, validity_days=days)
    assert caught.value.code == "validity-invalid"


def test_the_longest_msp_id_still_makes_an_authority() -> None:
    authority = Authority.create("A" * 64, now=NOW)
    member = authority.issue("silo", "s" * 63, now=NOW)
    assert verify_chain(member.certificates, authority.roots, NOW).member.msp == "A" * 64


def test_an_authority_comes_back_from_its_files(tmp_path: Path) -> None:
    AUTHORITY.save(tmp_path / "new" / "ca")
    loaded = Authority.load(tmp_path / "new" / "ca")

    assert loaded == AUTHORITY
    verify_chain(loaded.issue("silo", "silo-1", now=NOW).certificates, AUTHORITY.roots, NOW)
    assert "key" not in repr(loaded).lower()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_an_authority_below_a_root_gives_its_chain_along(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    root = make_issuer("consortium root")
    own_key = ec.generate_private_key(curve)
    own = _intermediate(root, own_key)
    _write_authority(tmp_path, (own, root.der), own_key)

    authority = Authority.load(tmp_path)
    identity = authority.issue("operator", "alice", now=NOW)

    assert authority.roots == (root.der,)
    assert identity.certificates[1:] == (own,)
    assert len(verify_chain(identity.certificates, authority.roots, NOW).serials) == 2


def test_an_issued_certificate_is_kept_under_its_serial_number(tmp_path: Path) -> None:
    identity = AUTHORITY.issue("silo", "silo-1", now=NOW)
    path = record_issued(tmp_path, identity)
    assert path == tmp_path / "issued" / f"{identity.certificate.serial}.pem"
    assert files.read_certificates(path) == identity.certificates[:1]


def test_an_authority_whose_key_is_another_ones_is_refused(tmp_path: Path) -> None:
    _write_authority(tmp_path, AUTHORITY.certificates, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(IdentityFileError, match="the key is not that of the first certificate"):
        Authority.load(tmp_path)


def test_a_member_is_no_authority(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    _write_authority(tmp_path, AUTHORITY.issue("silo", "silo-1", now=NOW).certificates, key)
    with pytest.raises(IdentityFileError, match="not a CA certificate"):
        Authority.load(tmp_path)


def test_an_authority_that_names_no_organisation_is_refused(tmp_path: Path) -> None:
    issuer = make_issuer("nameless")
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    _write_authority(tmp_path, (issuer.der,), issuer.key)
    with pytest.raises(IdentityFileError, match="no MSP id"):
        Authority.load(tmp_path)


def test_a_member_comes_back_from_its_files(tmp_path: Path) -> None:
    identity = AUTHORITY.issue("silo", "silo-1", now=NOW)
    identity.save(tmp_path / "silo")
    loaded = Identity.load(tmp_path / "silo")
    assert loaded.certificates == identity.certificates
    verify_signature(identity.certificate, loaded.sign(b"message"), b"message")


def _write_authority(directory: Path, certificates: tuple[bytes, ...], key: ec.EllipticCurvePrivateKey) -> None:
    files.write_key_pair(
        directory,
        key_name=files.AUTHORITY_KEY,
        key=key,
        certificates_name=files.AUTHORITY_CERTIFICATES,
        certificates=certificates,
    )


def _intermediate(root: Issuer, key: ec.EllipticCurvePrivateKey) -> bytes:
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "HospitalA"), x509.NameAttribute(NameOID.COMMON_NAME, "issuing")]
    )
    return make_issuer("issuing", parent=root, key=key, subject=subject).der
