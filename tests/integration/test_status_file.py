"""What a member that listens on no port says of itself in its status file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.consortium import Consortium, running_consortium, until_true


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Consortium]:
    """Unused by other tests: its ledger is killed."""
    with running_consortium(tmp_path) as running:
        yield running


async def test_it_says_connected_while_there_is_a_gateway_and_else_what_it_waits_for(
    alone: Consortium, tmp_path: Path
) -> None:
    status = tmp_path / "status"

    def says(line: str) -> bool:
        return status.is_file() and status.read_text() == f"{line}\n"

    with alone.service("aggregator", "HospitalA/aggregator", status_file=status):
        await until_true(lambda: says("connected"), "the aggregator to be connected")
        alone.ledger.kill()
        waiting = f"waiting for the gateway {alone.ledger.url}: the log says why"
        await until_true(lambda: says(waiting), "the aggregator to wait")
        alone.restart_ledger()
        await until_true(lambda: says("connected"), "the aggregator to be connected again")
