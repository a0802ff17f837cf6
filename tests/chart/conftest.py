"""Fixtures for tests of the charts."""

from __future__ import annotations

import pytest

from tests.chart.charts import missing_helm, need


@pytest.fixture(scope="session", autouse=True)
def helm() -> None:
    """Helm; without it every test here is skipped, or fails if CONSILO_REQUIRE_KUBERNETES=1."""
    need(missing_helm())
