"""A system that reaches its store through a proxy which the test controls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.harness import Trial, free_port, running_system
from tests.faults.proxy import HONEST, Proxy, misbehaving


@asynccontextmanager
async def behind_a_proxy(directory: Path) -> AsyncIterator[tuple[Trial, Proxy]]:
    """A system whose store is reached through a proxy, honest at first."""
    ports = free_port(), free_port()
    async with misbehaving(ports[0], ports[1], lambda _: HONEST) as proxy:
        options = {"store": {"port": str(ports[1])}}
        async with running_system(directory, options=options, store_url=proxy.url) as trial:
            yield trial, proxy
