"""A network of simulated peers, and adapters over it.

async with simulated_network(directory) as network:
    network.peers["HospitalA"].has_caught_up = False
    await network.adapter().submit(transaction)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.fabric.client import Deadlines, GatewayClient
from services.ledger.fabric.delivery import BlockClient
from services.ledger.fabric.peers import Peer
from services.ledger.fabric.replica import Replica
from services.ledger.fabric.settings import FabricPeer, FabricSettings
from services.ledger.fabric.signing import ClientIdentity, signer
from services.ledger.port import LedgerUnavailable
from tests.fabric_blocks import CHANNEL, ORGANISATIONS, FabricChannel
from tests.fabric_members import organisation
from tests.simulated_members import START_MS
from tests.unit.ledger.fabric.simulated_peers import Orderer, SimulatedPeer

WITHIN_SECONDS = 20.0


@dataclass
class SimulatedNetwork:
    """A channel, its orderer, and a peer of each organisation; adapters over it are HospitalA's.

    Attributes:
        directory: of replicas.
    """

    directory: Path
    channel: FabricChannel = field(default_factory=FabricChannel)
    peers: dict[str, SimulatedPeer] = field(default_factory=dict)
    adapters: list[FabricAdapter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.orderer = Orderer(self.channel)
        self.peers = {msp: SimulatedPeer(msp, self) for msp in ORGANISATIONS}

    def spread(self) -> None:
        """Peers that are not told to stay behind take the blocks that there are."""
        for peer in self.peers.values():
            if peer.has_caught_up:
                peer.catch_up()

    def adapter(self, *peers: str, **settings: Any) -> FabricAdapter:
        """An adapter that asks these peers, in this order; default: all."""
        msps = peers or tuple(self.peers)
        client = organisation("HospitalA").client
        identity = ClientIdentity("HospitalA", client.pem, signer(client.key), expires_at=2**53)
        chosen = settings_for([self.peers[msp].address for msp in msps], msps, self.directory, **settings)
        connections = [grpc.aio.insecure_channel(peer.address, options=_QUICK) for peer in chosen.peers]
        made = [
            Peer(
                msp=peer.msp,
                address=peer.address,
                gateway=GatewayClient(
                    connection,
                    identity,
                    channel=CHANNEL,
                    chaincode="consilo",
                    deadlines=Deadlines(
                        evaluate_seconds=chosen.evaluate_timeout_seconds,
                        endorse_seconds=chosen.endorse_timeout_seconds,
                        submit_seconds=chosen.submit_timeout_seconds,
                        commit_status_seconds=chosen.commit_timeout_seconds,
                    ),
                ),
                blocks=BlockClient(
                    connection, identity, channel=CHANNEL, deadline_seconds=chosen.block_timeout_seconds
                ),
            )
            for peer, connection in zip(chosen.peers, connections, strict=True)
        ]
        replica = Replica(chosen.state_file, channel=CHANNEL, chaincode="consilo")
        adapter = FabricAdapter(chosen, identity, replica, made, connections, clock=lambda: START_MS)
        self.adapters.append(adapter)
        return adapter


_QUICK = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 50),
    ("grpc.enable_retries", 0),
)


def settings_for(addresses: list[str], msps: tuple[str, ...], directory: Path, **changes: Any) -> FabricSettings:
    """Settings with short waits."""
    unused = directory / "unused"
    values: dict[str, Any] = {
        "channel": CHANNEL,
        "msp": "HospitalA",
        "certificate_file": unused,
        "key_file": unused,
        "peers": [
            FabricPeer(address=address, msp=msp, tls_ca_file=unused)
            for address, msp in zip(addresses, msps, strict=True)
        ],
        "state_file": directory / "state.db",
        "evaluate_timeout_seconds": 0.5,
        "endorse_timeout_seconds": 0.5,
        "commit_timeout_seconds": 0.5,
        "transaction_timeout_seconds": 10.0,
        "lag_seconds": 0.5,
        "silence_seconds": 0.2,
        "peer_retry_seconds": 0.05,
        **changes,
    }
    return FabricSettings(**values)


@asynccontextmanager
async def simulated_network(directory: Path) -> AsyncIterator[SimulatedNetwork]:
    """A network whose peers listen until the block ends; adapters are closed then."""
    network = SimulatedNetwork(directory)
    network.spread()
    try:
        for peer in network.peers.values():
            await peer.start()
        yield network
    finally:
        for adapter in network.adapters:
            await adapter.close()
        for peer in network.peers.values():
            await peer.stop()


async def ready(adapter: FabricAdapter) -> FabricAdapter:
    """The adapter, once it answers."""
    async with asyncio.timeout(WITHIN_SECONDS):
        await adapter.wait_after(-1)
    return adapter


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while not condition():  # noqa: ASYNC110 - what it looks at has no event
            await asyncio.sleep(0.005)


async def told_by_check(adapter: FabricAdapter, words: str = "") -> LedgerUnavailable:
    """What the adapter's check raises, once it holds these words."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            try:
                await adapter.check()
            except LedgerUnavailable as error:
                if words in error.message:
                    return error
            await asyncio.sleep(0.005)


async def until_good(adapter: FabricAdapter) -> None:
    """Return when the adapter's check is content."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            try:
                return await adapter.check()
            except LedgerUnavailable:
                await asyncio.sleep(0.005)
