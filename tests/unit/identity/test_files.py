"""Files of identities: whole or not there, never overwritten, and no key that everyone may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from consilo.identity import files
from consilo.identity.errors import IdentityFileError
from consilo.identity.identity import Identity
from tests.unit.identity.factory import make_identity, make_issuer, make_leaf

ROOT = make_issuer()
IDENTITY = make_identity(ROOT)
KEY = ec.generate_private_key(ec.SECP256R1())


def refusal_of_loading(directory: Path) -> IdentityFileError:
    with pytest.raises(IdentityFileError) as caught:
        Identity.load(directory)
    return caught.value


@pytest.fixture
def member(tmp_path: Path) -> Path:
    IDENTITY.save(tmp_path / "member")
    return tmp_path / "member"


def test_the_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        IDENTITY.save(tmp_path / "member")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "member").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "member" / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "member" / "certificate.pem").stat().st_mode) == 0o644


def test_a_directory_holds_nothing_but_the_two_files(member: Path) -> None:
    assert sorted(path.name for path in member.iterdir()) == ["certificate.pem", "key.pem"]


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem"])
@pytest.mark.parametrize("as_link", [False, True])
def test_nothing_is_overwritten_nor_written_beside_it(tmp_path: Path, name: str, as_link: bool) -> None:
    if as_link:
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / name).write_bytes(b"precious")

    with pytest.raises(IdentityFileError, match="is there already") as caught:
        IDENTITY.save(tmp_path)

    assert caught.value.code == "identity-exists"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert as_link or (tmp_path / name).read_bytes() == b"precious"


def test_a_file_that_someone_else_made_first_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "taken.pem").write_bytes(b"precious")
    with pytest.raises(IdentityFileError) as caught:
        files.write_new(tmp_path / "taken.pem", b"other")
    assert caught.value.code == "identity-exists"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IdentityFileError) as caught:
        IDENTITY.save(tmp_path / "file" / "member")
    assert caught.value.code == "identity-unwritable"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o777])
def test_a_key_that_everyone_may_use_is_refused_with_what_to_do(member: Path, mode: int) -> None:
    (member / "key.pem").chmod(mode)
    refusal = refusal_of_loading(member)
    assert refusal.code == "key-exposed"
    assert "chmod 600" in refusal.message
    assert "defaultMode: 0440" in refusal.message


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_key_for_owner_and_group_is_read(member: Path, mode: int) -> None:
    (member / "key.pem").chmod(mode)
    assert Identity.load(member).member == "HospitalA/silo-1"


def test_a_mounted_secret_behind_links_is_read(member: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    for name in ("key.pem", "certificate.pem"):
        (mount / name).symlink_to(member / name)
    assert Identity.load(mount).member == "HospitalA/silo-1"


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem"])
def test_a_missing_file_is_told(member: Path, name: str) -> None:
    (member / name).unlink()
    refusal = refusal_of_loading(member)
    assert refusal.code == "identity-missing"
    assert name in refusal.message


def test_a_pipe_or_directory_in_a_files_place_is_no_file(member: Path) -> None:
    (member / "key.pem").unlink()
    os.mkfifo(member / "key.pem", 0o600)
    assert refusal_of_loading(member).code == "identity-unreadable"
    (member / "key.pem").unlink()
    (member / "key.pem").mkdir(mode=0o700)
    assert refusal_of_loading(member).code == "identity-unreadable"


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem"])
@pytest.mark.parametrize("content", [b"", b"no PEM", b"x" * (files.MAX_FILE_BYTES + 1)])
def test_files_that_hold_something_else_are_told(member: Path, name: str, content: bytes) -> None:
    (member / name).write_bytes(content)
    refusal = refusal_of_loading(member)
    assert refusal.code == "identity-malformed"
    assert name in refusal.message


def test_a_key_with_a_password_is_told(member: Path) -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    (member / "key.pem").write_bytes(pem)
    assert "has a password" in refusal_of_loading(member).message


def test_a_key_of_another_kind_is_told(member: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (member / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "elliptic curve" in refusal_of_loading(member).message


def test_the_key_of_another_member_is_told_and_not_shown(member: Path) -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (member / "key.pem").write_bytes(pem)
    refusal = refusal_of_loading(member)
    assert refusal.code == "identity-malformed"
    assert not any(line.decode() in str(refusal) for line in pem.splitlines())


def test_the_key_in_the_certificates_place_is_not_shown(member: Path) -> None:
    pem = (member / "key.pem").read_bytes()
    (member / "certificate.pem").write_bytes(pem)
    refusal = refusal_of_loading(member)
    assert refusal.code == "identity-malformed"
    assert pem.splitlines()[1].decode() not in str(refusal) + repr(refusal.__cause__)


def test_certificates_keep_their_order(tmp_path: Path) -> None:
    issuer = make_issuer("issuing", parent=ROOT)
    certificates = (make_leaf(issuer), issuer.der)
    files.write_new(tmp_path / "chain.pem", files.encode_certificates(certificates))
    assert files.read_certificates(tmp_path / "chain.pem") == certificates


def test_a_certificate_that_is_no_members_is_told(member: Path) -> None:
    (member / "certificate.pem").write_bytes(files.encode_certificates((ROOT.der,)))
    assert refusal_of_loading(member).code == "identity-malformed"
