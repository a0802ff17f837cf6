"""Gateways of a real Fabric network, each an adapter within the test's own process, and transactions for them."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consilo.api.gateway import now_ms
from consilo.api.models import Position
from consilo.identity.authority import Authority
from consilo.identity.identity import Identity
from consilo.protocol.bodies import RegisterOrganisation, RevokeMember
from consilo.protocol.model import Record
from consilo.protocol.refusals import Refusal
from consilo.protocol.transaction import Transaction, envelope, payload, signed_bytes
from fabric.network import Network
from services.ledger.fabric.adapter import FabricAdapter
from services.ledger.fabric.opening import prepare_fabric
from services.ledger.fabric.settings import FabricPeer, FabricSettings
from services.ledger.port import Commit, LedgerUnavailable
from tests.fabric.networks import running_network

OWN, OTHER = "HospitalA", "HospitalB"
WITHIN_SECONDS = 40.0
BEGINNING = Position(height=0, index=0)


@dataclass
class Gateways:
    """A network, and what its organisations' gateways need."""

    network: Network
    directory: Path
    authorities: dict[str, Authority]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(now_ms()))

    def settings(self, msp: str = OWN, peers: tuple[str, ...] = (), **changes: Any) -> FabricSettings:
        """Of an organisation's gateway; by default it asks its own peer first, then all others."""
        own = self.network.organisation(msp)
        asked = peers or (msp, *(each.msp for each in self.network.organisations if each.msp != msp))
        values: dict[str, Any] = {
            "channel": self.network.description.channel,
            "msp": msp,
            "certificate_file": own.client.certificate_file,
            "key_file": own.client.key_file,
            "peers": [self.peer(each) for each in asked],
            "state_file": self.directory / f"state-{next(self.numbers)}.db",
            "silence_seconds": 1.0,
            "peer_retry_seconds": 0.2,
            **changes,
        }
        return FabricSettings(**values)

    def peer(self, msp: str, **changes: Any) -> FabricPeer:
        """An organisation's peer."""
        peer = self.network.organisation(msp).peer
        return FabricPeer(**{"address": peer.address, "msp": msp, "tls_ca_file": peer.tls_ca_file, **changes})

    def operator(self, msp: str = OWN) -> Identity:
        """Who signs for an organisation."""
        return self.authorities[msp].issue("operator", "operator", now=now_ms())

    def registration(self, msp: str) -> Transaction:
        """An organisation's first."""
        roots = tuple(base64.b64encode(root).decode() for root in self.authorities[msp].roots)
        body = RegisterOrganisation(version=1, roots=roots, gateway="http://127.0.0.1:1", stores=())
        return signed(self.operator(msp), "register_organisation", body)

    def revocation(self, msp: str = OWN, *, serial: int | None = None, reason: str = "lost") -> Transaction:
        """A small transaction; each by default another one."""
        number = next(self.numbers) if serial is None else serial
        return signed(self.operator(msp), "revoke_member", RevokeMember(serial=f"{number:x}", reason=reason))


def signed(member: Identity, kind: str, body: Record) -> Transaction:
    words = payload("consilo", member.member, kind, body)
    return envelope(words, member.certificates, member.sign(signed_bytes(words)))


@asynccontextmanager
async def opened(settings: FabricSettings, *, waits: bool = True) -> AsyncIterator[FabricAdapter]:
    """The adapter, once it answers."""
    adapter = await prepare_fabric(settings)()
    try:
        if waits:
            async with asyncio.timeout(WITHIN_SECONDS):
                await adapter.wait_after(-1)
        yield adapter
    finally:
        await adapter.close()


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while not condition():  # noqa: ASYNC110 - what it looks at has no event
            await asyncio.sleep(0.02)


def best(adapter: FabricAdapter) -> str:
    """MSP id of the peer that is asked now."""
    peer = adapter._peers.best()
    return "" if peer is None else peer.msp


async def handed_in(adapter: FabricAdapter, transaction: Transaction) -> Commit | Refusal:
    try:
        return await adapter.submit(transaction)
    except Refusal as refusal:
        return refusal


async def check_told(settings: FabricSettings, words: str) -> LedgerUnavailable:
    """What a gateway's check says once it holds these words."""
    async with opened(settings, waits=False) as adapter, asyncio.timeout(WITHIN_SECONDS):
        while True:
            try:
                await adapter.check()
            except LedgerUnavailable as error:
                if words in error.message:
                    return error
            await asyncio.sleep(0.02)


@contextmanager
def running_gateways(directory: Path) -> Iterator[Gateways]:
    """A network of its own, with HospitalA and HospitalB registered."""
    with running_network(directory / "network") as network:
        authorities = {each.msp: Authority.create(each.msp, now=now_ms()) for each in network.organisations}
        made = Gateways(network, directory, authorities)

        async def register() -> None:
            for msp in (OWN, OTHER):
                async with opened(made.settings(msp)) as adapter:
                    await adapter.submit(made.registration(msp))

        asyncio.run(register())
        yield made
