"""Organisations of one gateway register in any order, while members of others are waiting already."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from consilo.api.errors import GatewayUnavailable
from consilo.api.party import Party
from consilo.api.patience import Patience
from tests.integration.consortium import API_SETTINGS, Consortium, register, running_consortium


async def connect(consortium: Consortium, member: str) -> str:
    """Try for a moment; returns the name of the ledger."""
    patience = Patience(API_SETTINGS, limit_seconds=0.1)
    async with Party(consortium.identity(member), consortium.ledger.url, patience=patience) as party:
        return party.ledger


@pytest.mark.parametrize("first", ["HospitalA", "HospitalB"])
def test_a_member_waits_for_the_registration_of_its_own_organisation_and_of_the_gateway_s(
    first: str, tmp_path: Path
) -> None:
    # The gateway is HospitalA's: its word on a head is checked against the roots that are registered.
    with running_consortium(tmp_path, registered=[first]) as consortium:
        asyncio.run(wait_and_connect(consortium, sorted({"HospitalA", "HospitalB"} - {first})))


async def wait_and_connect(consortium: Consortium, missing: list[str]) -> None:
    with pytest.raises(GatewayUnavailable) as raised:
        await connect(consortium, "HospitalB/silo")
    assert raised.value.code == "organisation-unknown"
    await register(consortium, missing)
    assert await connect(consortium, "HospitalB/silo") == "test-ledger"
