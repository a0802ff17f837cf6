"""Fixtures for tests on a real Fabric network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fabric.binaries import Binaries
from fabric.network import Network
from tests.fabric.networks import need_fabric, running_network


@pytest.fixture(scope="session", autouse=True)
def fabric_programs() -> Binaries:
    """Fabric's programs; without them every test here is skipped, or fails if CONSILO_REQUIRE_FABRIC=1."""
    return need_fabric()


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Three organisations and one orderer, for all tests of the session: who harms a part of it starts it again."""
    with running_network(tmp_path_factory.mktemp("fabric") / "network") as running:
        yield running
