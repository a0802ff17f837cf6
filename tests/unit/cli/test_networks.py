"""`--private-network` tells a command where other organisations' gateways and stores may lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilo.api.gateway import now_ms
from consilo.api.party import Party
from consilo.cli.session import Session
from consilo.identity.authority import Authority
from tests.unit.cli.test_main import run


@pytest.fixture
def member(tmp_path: Path) -> Path:
    Authority.create("HospitalA", now=now_ms()).issue("viewer", "viewer", now=now_ms()).save(tmp_path / "viewer")
    return tmp_path / "viewer"


def test_a_network_that_is_none_is_wrong_usage(member: Path, tmp_path: Path) -> None:
    where = ["--gateway", "http://127.0.0.1:1", "--identity", str(member), "--state", str(tmp_path)]
    code, out, error = run("run", "list", *where, "--private-network", "10.0.0.1/8")
    assert (code, out) == (2, "")
    assert error.startswith("error [network-invalid]: --private-network: ")


def test_networks_reach_the_member_that_acts(member: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[str, ...]] = []

    async def connect(self: Party) -> None:
        found.append(self.settings.private_networks)

    monkeypatch.setattr(Party, "connect", connect)
    networks = ["10.0.0.0/8", "fd00::/8"]

    async def nothing(party: Party) -> None:
        pass

    session = Session("http://127.0.0.1:1", member, state=tmp_path, private_networks=networks)
    session.call(nothing)
    assert found == [tuple(networks)]
