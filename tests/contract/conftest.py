"""The stores that the contract is tried on, one after the other."""

from collections.abc import Iterator

import pytest

from tests.contract.stores import STORES, StoreUnderTest


@pytest.fixture(scope="module", params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreUnderTest]:
    with STORES[request.param](tmp_path_factory.mktemp("store")) as running:
        yield running
