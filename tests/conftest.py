"""What every test shares: hypothesis's profiles, and logs that are as they were."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A loaded machine is no failure, so no example has a deadline. In CI the examples are the same in every run.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Undo what `configure_logs` does: the standard error that it took is closed when its test is over."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        for handler in logging.root.handlers[:]:
            if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
                logging.root.removeHandler(handler)
