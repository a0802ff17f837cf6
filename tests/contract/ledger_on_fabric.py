"""A real Fabric network for the contract of ledgers: four organisations, each with a gateway of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from consilo.fabric.blocks import FabricTransaction, decode_block, decode_line
from consilo.protocol.canonical import MAX_BYTES
from consilo.protocol.transaction import Transaction
from fabric.network import Network
from services.ledger.fabric.opening import prepare_fabric
from services.ledger.fabric.settings import FabricPeer, FabricSettings
from services.ledger.port import Ledger
from tests.contract.ledger_under_test import Clock, LedgerUnderTest, ReadBlock, within
from tests.fabric.networks import need_fabric

CENTURY_SECONDS: Final = 100 * 366 * 86_400
"""By how much the network lets clocks differ: the time of the cases is years from that of the machine."""


@asynccontextmanager
async def fabric_ledger(directory: Path, organisations: Sequence[str]) -> AsyncIterator[LedgerUnderTest]:
    """A network of its own, whose time is the cases' own."""
    need_fabric()
    clock = Clock()
    network = await Network.up(
        directory / "network", organisations=organisations, max_clock_difference_seconds=CENTURY_SECONDS
    )
    files = 0

    @asynccontextmanager
    async def gateway_of(msp: str) -> AsyncIterator[Ledger]:
        nonlocal files
        files += 1
        settings = settings_of(network, msp, directory / f"replica-{files}.db")
        gateway = await prepare_fabric(settings, clock=clock)()
        try:
            await within(gateway.wait_after(0))
            yield gateway
        finally:
            await gateway.close()

    try:
        async with AsyncExitStack() as gateways:
            yield LedgerUnderTest(
                {msp: await gateways.enter_async_context(gateway_of(msp)) for msp in organisations},
                clock,
                _read_block,
                late=lambda: gateway_of(organisations[0]),
                max_transaction_bytes=MAX_BYTES,
            )
    finally:
        await network.down(remove=True)


def settings_of(network: Network, msp: str, state_file: Path) -> FabricSettings:
    """Of an organisation's gateway, which asks its own peer first."""
    own = network.organisation(msp)
    others = [organisation for organisation in network.organisations if organisation.msp != msp]
    return FabricSettings(
        channel=network.description.channel,
        msp=msp,
        certificate_file=own.client.certificate_file,
        key_file=own.client.key_file,
        peers=[
            FabricPeer(address=each.peer.address, msp=each.msp, tls_ca_file=each.peer.tls_ca_file)
            for each in (own, *others)
        ],
        state_file=state_file,
    )


def _read_block(line: bytes) -> ReadBlock:
    block = decode_block(decode_line(line))
    return ReadBlock(block.hash, block.previous or None, tuple(map(_id, block.transactions)))


def _id(transaction: FabricTransaction) -> str | None:
    """The id of the protocol's transaction in one of Fabric's, if it counts and changed something."""
    if not transaction.valid or transaction.arguments[:1] != (b"submit",) or not transaction.writes:
        return None
    return Transaction.decode(transaction.arguments[1]).id
