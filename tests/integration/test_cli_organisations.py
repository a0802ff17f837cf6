"""`consilo identity`, `ledger genesis` and `organisation`: a consortium founded by commands alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consilo.cli.main import app
from tests.integration.consortium import service


@pytest.fixture
def founded(tmp_path: Path) -> Iterator[Path]:
    """Directories of two organisations' CAs and members, and a ledger that admits both but knows neither."""
    for msp in ("HospitalA", "HospitalB"):
        good("identity", "init", "--msp", msp, "--directory", tmp_path / msp / "ca")
        for role in ("operator", "silo", *(["gateway"] if msp == "HospitalA" else [])):
            place = tmp_path / msp / role
            good(
                "identity",
                "issue",
                "--role",
                role,
                "--name",
                role,
                "--directory",
                tmp_path / msp / "ca",
                "--output",
                place,
            )
    organisations = [f"--organisation={msp}={tmp_path / msp / 'ca'}" for msp in ("HospitalA", "HospitalB")]
    good("ledger", "genesis", "--ledger", "founded", *organisations, "--output", tmp_path / "genesis.json")
    (tmp_path / "secret").write_text(secrets.token_hex(32))
    settings = {
        "CONSILO_LEDGER_PORT": "0",
        "CONSILO_LEDGER_IDENTITY": str(tmp_path / "HospitalA" / "gateway"),
        "CONSILO_LEDGER_ORGANISATIONS": '["HospitalA", "HospitalB"]',
        "CONSILO_LEDGER_EMBEDDED__FILE": str(tmp_path / "ledger.sqlite"),
        "CONSILO_LEDGER_EMBEDDED__GENESIS_FILE": str(tmp_path / "genesis.json"),
        "CONSILO_LEDGER_STORE__URL": "http://127.0.0.1:8090",
        "CONSILO_LEDGER_STORE__SECRET_FILE": str(tmp_path / "secret"),
    }
    with service("services.ledger", settings, tmp_path / "ledger.log") as ledger:
        (tmp_path / "url").write_text(ledger.url)
        yield tmp_path


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def good(*arguments: object, **environment: str) -> str:
    result = run(*arguments, **environment)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


def as_member(founded: Path, member: str) -> dict[str, str]:
    return {
        "CONSILO_GATEWAY": (founded / "url").read_text(),
        "CONSILO_IDENTITY": str(founded / member),
        "CONSILO_STATE": str(founded / "state"),
    }


def register(founded: Path, msp: str, *stores: str) -> Result:
    options = [f"--store={store}" for store in stores]
    ca, url = founded / msp / "ca", (founded / "url").read_text()
    return run("organisation", "register", "--ca", ca, "--url", url, *options, **as_member(founded, f"{msp}/operator"))


def test_organisations_register_change_and_revoke(founded: Path) -> None:
    # The gateway of the ledger is HospitalA's: until it is registered, no head can be believed.
    assert register(founded, "HospitalA", "127.0.0.1:8090").stdout == "Registered HospitalA, version 1.\n"
    assert register(founded, "HospitalB", "127.0.0.1:8090").stdout == "Registered HospitalB, version 1.\n"
    assert "already, in version 1" in register(founded, "HospitalB", "127.0.0.1:8090").stdout
    assert register(founded, "HospitalB", "127.0.0.1:8091").stdout == "Registered HospitalB, version 2.\n"

    operator = as_member(founded, "HospitalB/operator")
    listed = good("organisation", "list", **operator)
    assert "HospitalB     2        http://127.0.0.1" in listed

    silo = as_member(founded, "HospitalB/silo")
    good("run", "list", **silo)
    serial = next(
        path.stem
        for path in (founded / "HospitalB" / "ca" / "issued").iterdir()
        if path.read_bytes() == (founded / "HospitalB" / "silo" / "certificate.pem").read_bytes()
    )
    asked = run("organisation", "revoke", serial, "--reason", "lost", **operator)
    assert asked.exit_code == 2
    assert "error [not-confirmed]" in asked.stderr
    good("organisation", "revoke", serial.upper(), "--reason", "lost", "--yes", **operator)
    refused = run("run", "list", **silo)
    assert refused.exit_code == 1
    assert "revoked" in refused.stderr


def test_roots_that_the_genesis_does_not_name_are_refused(founded: Path, tmp_path: Path) -> None:
    good("identity", "init", "--msp", "HospitalA", "--directory", tmp_path / "forged")
    good(
        "identity",
        "issue",
        "--role",
        "operator",
        "--name",
        "operator",
        "--directory",
        tmp_path / "forged",
        "--output",
        tmp_path / "intruder",
    )
    environment = {**as_member(founded, "HospitalA/operator"), "CONSILO_IDENTITY": str(tmp_path / "intruder")}
    result = run("organisation", "register", "--ca", tmp_path / "forged", "--url", "http://127.0.0.1:1", **environment)
    assert result.exit_code == 1
    assert "error [registration-not-vouched]" in result.stderr
