"""What `consilo organisation` and `consilo ledger genesis` refuse before they reach anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consilo.cli.main import app
from consilo.embedded.blocks import decode_genesis
from consilo.identity.authority import Authority
from consilo.protocol.certificates import roots_digest
from tests.unit.identity.factory import NOW


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    authority = Authority.create("HospitalA", now=NOW)
    authority.save(tmp_path / "ca")
    authority.issue("operator", "operator", now=NOW).save(tmp_path / "operator")
    return tmp_path / "ca"


@pytest.mark.parametrize(
    "options",
    [
        ["--url", "http://127.0.0.1:1", "--store", "http://no-url-here"],
        ["--url", "ftp://127.0.0.1"],
        ["--url", "http://user:word@127.0.0.1"],
        ["--url", "http://127.0.0.1/?query"],
    ],
)
def test_what_no_registration_may_hold_is_wrong_usage(ca: Path, options: list[str]) -> None:
    connection = ["--gateway", "http://127.0.0.1:1", "--identity", str(ca.parent / "operator")]
    result = run("organisation", "register", "--ca", ca, *options, *connection)
    assert result.exit_code == 2
    assert result.stderr.startswith("error [registration-malformed]: ")


def test_what_is_no_serial_number_is_wrong_usage(ca: Path) -> None:
    connection = ["--gateway", "http://127.0.0.1:1", "--identity", str(ca.parent / "operator")]
    for serial in ("xyz", "0", "12 34"):
        result = run("organisation", "revoke", serial, "--reason", "lost", "--yes", *connection)
        assert result.exit_code == 2
        assert result.stderr.startswith("error [serial-malformed]: ")


def test_a_genesis_names_the_roots_of_each_organisation(ca: Path, tmp_path: Path) -> None:
    output = tmp_path / "genesis.json"
    arguments = ["ledger", "genesis", "--ledger", "trial", "--output", output, "--organisation"]
    assert run(*arguments, f"HospitalA={ca}").exit_code == 0
    made = decode_genesis(output.read_bytes())
    assert made.ledger == "trial"
    assert made.organisations == {"HospitalA": roots_digest(Authority.load(ca).roots)}

    again = run(*arguments, f"HospitalA={ca / 'ca.pem'}")
    assert again.exit_code == 1
    assert again.stderr.startswith("error [identity-exists]: ")


@pytest.mark.parametrize(
    ("name", "organisation", "error"),
    [
        ("Trial", "HospitalA={ca}", "genesis-malformed"),
        ("trial", "Hospital A={ca}", "genesis-malformed"),
        ("trial", "HospitalA", "organisation-malformed"),
    ],
)
def test_a_genesis_that_could_not_be_read_is_not_written(
    ca: Path, tmp_path: Path, name: str, organisation: str, error: str
) -> None:
    output = tmp_path / "genesis.json"
    given = organisation.replace("{ca}", str(ca))
    result = run("ledger", "genesis", "--ledger", name, "--organisation", given, "--output", output)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error [{error}]: ")
    assert not output.exists()


def test_what_is_no_root_is_not_taken_for_one(ca: Path, tmp_path: Path) -> None:
    # The last certificate must be a CA's: a member's own is none.
    member = ca.parent / "operator" / "certificate.pem"
    result = run(
        "ledger", "genesis", "--ledger", "x", "--organisation", f"HospitalA={member}", "--output", tmp_path / "g"
    )
    assert result.exit_code == 1
    assert result.stderr.startswith("error [roots-malformed]: ")
