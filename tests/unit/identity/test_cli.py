"""`consilo identity` on real directories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consilo.cli.identity import app
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.certificates import roots_digest, verify_chain
from tests.unit.identity.factory import DAY, NOW


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    assert run("init", "--msp", "HospitalA", "--directory", tmp_path / "ca").exit_code == 0
    return tmp_path / "ca"


def issue(authority: Path, output: Path, *more: str) -> Result:
    return run("issue", "--role", "silo", "--name", "silo-1", "--directory", authority, "--output", output, *more)


def test_init_makes_an_authority_and_says_what_to_keep_secret(tmp_path: Path) -> None:
    result = run("init", "--msp", "HospitalA", "--directory", tmp_path / "ca")
    assert result.exit_code == 0
    assert "Made the CA of HospitalA" in result.stdout
    assert f"Keep {tmp_path / 'ca' / 'ca.key'} secret" in result.stdout
    assert roots_digest(Authority.load(tmp_path / "ca").roots) in result.stdout


def test_issue_makes_a_member_and_keeps_a_copy_of_its_certificate(authority: Path, tmp_path: Path) -> None:
    result = issue(authority, tmp_path / "silo")
    assert result.exit_code == 0

    identity = Identity.load(tmp_path / "silo")
    now = identity.certificate.not_before + 1000
    assert verify_chain(identity.certificates, Authority.load(authority).roots, now).member.member == "HospitalA/silo-1"
    assert f"serial  {identity.certificate.serial}" in result.stdout
    assert [path.stem for path in (authority / "issued").iterdir()] == [identity.certificate.serial]


def test_show_tells_who_and_how_long(authority: Path, tmp_path: Path) -> None:
    issue(authority, tmp_path / "silo", "--days", "10")
    result = run("show", tmp_path / "silo")
    assert result.exit_code == 0
    assert "HospitalA/silo-1" in result.stdout
    assert "days left     9" in result.stdout


def test_show_as_json_is_for_programs(authority: Path, tmp_path: Path) -> None:
    issue(authority, tmp_path / "silo", "--days", "10")
    (tmp_path / "silo" / "key.pem").unlink()  # it is not needed to look at a certificate
    shown = json.loads(run("show", tmp_path / "silo", "--json").stdout)
    assert set(shown) == {
        "member",
        "role",
        "status",
        "days_left",
        "not_before",
        "not_after",
        "serial",
        "fingerprint",
    }
    assert (shown["member"], shown["role"], shown["status"]) == ("HospitalA/silo-1", "silo", "valid")
    assert shown["days_left"] == 9
    assert shown["not_after"].endswith("Z")


@pytest.mark.parametrize(("start", "status"), [(1_500_000_000_000, "expired"), (NOW + 100_000 * DAY, "not yet valid")])
def test_show_tells_a_member_that_is_not_valid_now(tmp_path: Path, start: int, status: str) -> None:
    Authority.create("HospitalA", now=start).issue("viewer", "v", now=start).save(tmp_path / "v")
    shown = json.loads(run("show", tmp_path / "v", "--json").stdout)
    assert shown["status"] == status
    assert (shown["days_left"] < 0) == (status == "expired")


def test_nothing_is_overwritten(authority: Path, tmp_path: Path) -> None:
    issue(authority, tmp_path / "silo")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    for result in (issue(authority, tmp_path / "silo"), run("init", "--msp", "HospitalA", "--directory", authority)):
        assert result.exit_code == 1
        assert result.stderr.startswith("error [identity-exists]: ")
        assert result.stdout == ""
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_exposed_key_of_the_authority_is_not_used(authority: Path, tmp_path: Path) -> None:
    (authority / "ca.key").chmod(0o644)
    result = issue(authority, tmp_path / "silo")
    assert result.exit_code == 1
    assert result.stderr.startswith("error [key-exposed]: ")
    assert not (tmp_path / "silo").exists()


@pytest.mark.parametrize("command", ["show", "issue"])
def test_a_wrong_directory_is_one_sentence(tmp_path: Path, command: str) -> None:
    result = run("show", tmp_path) if command == "show" else issue(tmp_path, tmp_path / "silo")
    assert result.exit_code == 1
    assert result.stderr.startswith("error [identity-missing]: ")
    assert result.stderr.count("\n") == 1


def test_show_of_a_file_that_is_no_members_is_one_sentence(authority: Path, tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_bytes((authority / "ca.pem").read_bytes())
    result = run("show", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error [identity-malformed]: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["init", "--msp", "Hospital A", "--directory", "ca"],
        ["init", "--msp", "HospitalA", "--directory", "ca", "--days", "0"],
        ["init", "--msp", "HospitalA"],
        ["issue", "--role", "king", "--name", "a", "--directory", "ca", "--output", "b"],
        ["issue", "--role", "silo", "--name", "Silo", "--directory", "ca", "--output", "b"],
        ["show"],
        ["forge"],
    ],
)
def test_wrong_usage_has_exit_status_2_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []
