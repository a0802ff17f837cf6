"""Parts of a network that lie for a while. Starts and ends processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fabric.network import Network, Options

LYING: Options = Options(chaincode_command=(sys.executable, "-m", "tests.fabric.lying_chaincode"))


@asynccontextmanager
async def chaincode_lies_at(network: Network, msp: str) -> AsyncIterator[None]:
    """The peer of an organisation runs `lying_chaincode`; at the end it runs the right one again."""
    directory = network.file.parent
    await network.kill_chaincode(msp)
    try:
        await Network.load(directory, LYING).start_chaincode(msp)
        yield
    finally:
        await network.kill_chaincode(msp)
        await network.start_chaincode(msp)
