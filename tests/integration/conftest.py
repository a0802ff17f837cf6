"""Fixtures for tests with real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.consortium import Consortium, running_consortium
from tests.integration.rest import impatient_consortium


@pytest.fixture(scope="session")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Ledger service, store service and members, for all tests of the session: each test makes runs of its own."""
    with running_consortium(tmp_path_factory.mktemp("consortium")) as running:
        yield running


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """The same with small limits and short waits, which tests of bounds reach soon."""
    with impatient_consortium(tmp_path_factory.mktemp("impatient")) as running:
        yield running
