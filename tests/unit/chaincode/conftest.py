"""A chaincode's server on loopback, a peer that is connected to it, and the clock that the server goes by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from chaincode.functions import Functions
from chaincode.server import ChaincodeServer
from chaincode.settings import ChaincodeSettings
from consilo.protocol.state import DictState
from tests.simulated_members import START_MS
from tests.simulators import Consortium
from tests.unit.chaincode.peer import Peer, connected

PACKAGE_ID = "consilo:0123"
MAX_CLOCK_DIFFERENCE_MS = 60_000

StartServer = Callable[..., Awaitable[ChaincodeServer]]
ConnectPeer = Callable[..., Awaitable[Peer]]


class Clock:
    """Milliseconds since the epoch, as a test says."""

    def __init__(self) -> None:
        self.now = START_MS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def start_server(clock: Clock) -> AsyncIterator[StartServer]:
    """Starts servers, with settings by name; they end with the test."""
    servers: list[ChaincodeServer] = []

    async def start(functions: Functions | None = None, **settings: object) -> ChaincodeServer:
        given = {"port": 0, "package_id": PACKAGE_ID, "shutdown_grace_seconds": 0.0, **settings}
        server = ChaincodeServer(
            ChaincodeSettings.model_validate(given), functions or Functions(MAX_CLOCK_DIFFERENCE_MS, clock)
        )
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def connect(start_server: StartServer) -> AsyncIterator[ConnectPeer]:
    """Connects peers over a state, to a given server or a new one; they go with the test."""
    async with AsyncExitStack() as stack:

        async def connect_peer(state: DictState, server: ChaincodeServer | None = None) -> Peer:
            server = server or await start_server()
            return await stack.enter_async_context(connected(server.port, state))

        yield connect_peer


@pytest.fixture
def consortium(clock: Clock) -> Consortium:
    """Three organisations whose clock is the server's."""
    made = Consortium()
    clock.now = made.clock
    return made
