"""Logs are set up for the process; each test leaves them as they were."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import stamina.instrumentation
import structlog


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error")}
    hooks = stamina.instrumentation.get_on_retry_hooks()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    stamina.instrumentation.set_on_retry_hooks(hooks)
