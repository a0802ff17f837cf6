"""What the contracts are tried on, one after the other: stores and ledgers."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.contract.ledger_under_test import LedgerUnderTest
from tests.contract.ledgers import LEDGERS
from tests.contract.stores import STORES, StoreUnderTest


@pytest.fixture(scope="module", params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreUnderTest]:
    with STORES[request.param](tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest_asyncio.fixture(
    scope="package",
    loop_scope="session",
    params=["embedded", pytest.param("fabric", marks=pytest.mark.fabric)],
)
async def ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LedgerUnderTest]:
    async with LEDGERS[request.param](tmp_path_factory.mktemp("ledger")) as running:
        yield running
