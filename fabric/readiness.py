"""Waiting until a part of the network answers, or has ended. Opens connections."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from fabric.description import host_of, port_of
from fabric.errors import PartFailed
from fabric.processes import Part, Process, log_tail, runs

_PAUSE_SECONDS: Final = 0.05
_READ_SECONDS: Final = 2.0


async def until(
    condition: Callable[[], Awaitable[bool]], part: Part, process: Process, what: str, timeout_seconds: float
) -> None:
    """Wait until a process does what it should.

    Raises:
        PartFailed: it ended, or did not do it in time; the message holds the end of its log.
    """
    deadline = time.monotonic() + timeout_seconds
    while not await condition():
        if not runs(process):
            raise PartFailed(f"{part.name} ended by itself\n{log_tail(part.log)}")
        if time.monotonic() > deadline:
            raise PartFailed(f"{part.name} did not {what} within {timeout_seconds:g} s\n{log_tail(part.log)}")
        await asyncio.sleep(_PAUSE_SECONDS)


async def listens(address: str) -> bool:
    """Whether something accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(host_of(address), port_of(address))
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def metrics(operations_url: str) -> dict[str, float]:
    """The metrics of a peer or an orderer by name with labels, as Prometheus would read them; empty: no answer."""

    def read() -> str:
        connection = http.client.HTTPConnection(host_of(operations_url), port_of(operations_url), timeout=_READ_SECONDS)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    try:
        text = await asyncio.to_thread(read)
    except (OSError, http.client.HTTPException):
        return {}
    return {name: float(value) for name, value in re.findall(r"^([a-z].*) (\S+)$", text, re.MULTILINE)}


async def height(operations_url: str, channel: str) -> int | None:
    """How many blocks a peer or an orderer has; None: it does not answer, or is not on the channel."""
    blocks = (await metrics(operations_url)).get(f'ledger_blockchain_height{{channel="{channel}"}}')
    return None if blocks is None else int(blocks)
