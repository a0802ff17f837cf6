"""A simulated network for each test that asks for one, with HospitalA registered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.ledger.fabric.channels import add, registration
from tests.unit.ledger.fabric.simulated_network import SimulatedNetwork, simulated_network


@pytest_asyncio.fixture
async def network(tmp_path: Path) -> AsyncIterator[SimulatedNetwork]:
    """Of three peers, all with three blocks."""
    async with simulated_network(tmp_path) as made:
        add(made.channel, registration(made.channel))
        made.spread()
        yield made
