"""A consortium whose gateways are the test itself: members sign, and the test hands in what it likes, where it likes.

    async with direct_consortium(directory) as c:
        await c.running("trial")
        with pytest.raises(EndorseError):
            await c.endorse("HospitalA", tampered(c.make.publish_update(), num_samples=9))

A network with its peers, and no service of Consilo. The members' keys and certificates are real, and so are the
identities with which the test speaks to the peers: those that an organisation's gateway has.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from consilo.api.gateway import now_ms
from consilo.fabric.blocks import decode_block
from consilo.protocol import keys
from consilo.protocol.apply import apply
from consilo.protocol.model import Record
from consilo.protocol.queries import QUERIES, Page
from consilo.protocol.state import DictState
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from fabric.description import Description, Organisation
from fabric.network import Network
from services.ledger.fabric.client import CommitStatus, Deadlines, GatewayClient
from services.ledger.fabric.delivery import BlockClient
from services.ledger.fabric.errors import EndorseError, EvaluateError
from services.ledger.fabric.messages import Endorsed, Proposal
from services.ledger.fabric.opening import connect, load_client_identity
from services.ledger.fabric.settings import FabricPeer
from services.local.consortium import Hospital, found_hospitals
from tests.simulated_requests import Layout, Requests

DEADLINES: Final = Deadlines(
    evaluate_seconds=20.0, endorse_seconds=20.0, submit_seconds=20.0, commit_status_seconds=20.0
)
BLOCKS_SECONDS: Final = 20.0

SILOS: Final = ("HospitalA/silo", "HospitalA/silo-2", "HospitalB/silo", "HospitalC/silo")
"""HospitalA has two, so that one may sign for the other."""


@dataclass
class DirectConsortium:
    """The members, and a client at each organisation's peer.

    Attributes:
        network: with a peer for each organisation.
        hospitals: by MSP id.
        make: signs transactions of a run; its state follows the ledger's.
        clients: of each organisation's peer, as its gateway would be one.
        blocks: of each organisation's peer.
    """

    network: Network
    hospitals: dict[str, Hospital]
    make: Requests
    clients: dict[str, GatewayClient]
    blocks: dict[str, BlockClient]

    def propose(self, msp: str, transaction: Transaction, *, time: int | None = None) -> Proposal:
        """A proposal by an organisation's gateway.

        Args:
            msp: MSP id of the organisation.
            transaction: to be handed in.
            time: that it claims, milliseconds since 1970-01-01 UTC; default: now.
        """
        return self.clients[msp].propose([b"submit", transaction.encode()], now_ms() if time is None else time)

    async def endorse(self, msp: str, transaction: Transaction, organisations: Sequence[str] = ()) -> Endorsed:
        """Have a transaction endorsed, through an organisation's gateway: by these organisations, or as Fabric likes.

        Raises:
            EndorseError: it is not.
        """
        return await self.clients[msp].endorse(self.propose(msp, transaction), organisations)

    async def order(self, msp: str, endorsed: Endorsed) -> CommitStatus:
        """Hand in what was endorsed, and wait until every peer has it in a block."""
        await self.clients[msp].submit(endorsed)
        waiting = (client.commit_status(endorsed.transaction_id) for client in self.clients.values())
        status, *others = await asyncio.gather(*waiting)
        assert [other for other in others if other != status] == [], "peers disagree on what counts"
        return status

    async def commit(
        self, *transactions: Transaction, through: str | None = None, endorsed_by: Sequence[str] = ()
    ) -> None:
        """Put transactions on the ledger.

        Args:
            transactions: one after the other.
            through: MSP id of whose gateway; default: the member's own.
            endorsed_by: MSP ids; default: as Fabric likes.
        """
        for transaction in transactions:
            msp = through or organisation_of(transaction.payload.member)
            proposal = self.propose(msp, transaction)
            status = await self.order(msp, await self.clients[msp].endorse(proposal, endorsed_by))
            assert status.code == 0
            self.make.state.commit(apply(self.make.state, transaction, proposal.time, vouched=True).writes)

    async def refusals(
        self, msp: str, transaction: Transaction, *, time: int | None = None, of: Sequence[str] = ()
    ) -> dict[str, str]:
        """With which code each organisation's peer refuses a transaction of a gateway; `""` where it does not.

        Args:
            msp: whose gateway brings it.
            transaction: that is brought.
            time: that the proposal claims.
            of: the organisations to ask; default: all.
        """
        found = {}
        for asked in of or self.clients:
            proposal = self.propose(msp, transaction, time=time)
            found[asked] = ""
            try:
                await self.clients[msp].evaluate(proposal, [asked])
            except EvaluateError as error:
                codes = {answer.msp: answer.refusal.code for answer in error.answers if answer.refusal is not None}
                found[asked] = codes[asked]
        return found

    async def not_endorsed(self, msp: str, transaction: Transaction, organisations: Sequence[str] = ()) -> EndorseError:
        """Why a transaction is not endorsed; it must not be."""
        try:
            await self.endorse(msp, transaction, organisations)
        except EndorseError as error:
            return error
        raise AssertionError("it was endorsed")

    async def ask(self, msp: str, query: str, arguments: Record) -> Any:
        """The answer of an organisation's peer to a query; None where there is no such thing."""
        client = self.clients[msp]
        question = client.propose([b"query", query.encode(), arguments.encode()], now_ms())
        try:
            answer = await client.evaluate(question, [msp])
        except EvaluateError:
            return None
        return QUERIES[query].answer.decode(answer)

    async def records_at(self, msp: str) -> dict[str, bytes]:
        """All records that an organisation's peer has, but for the marks of single transactions."""
        found: dict[str, bytes] = {}
        for prefix in self._prefixes():
            after: str | None = ""
            while after is not None:
                page = await self.ask(msp, "records", Page(prefix=prefix, after=after, limit=1000))
                found.update((entry.key, entry.record.encode()) for entry in page.records)
                after = page.after
        return found

    async def check_records(self) -> None:
        """Every peer has the records that `commit` has made, and no others."""
        prefixes = self._prefixes()
        expected = {key: data for key, data in self.make.state.records.items() if key.startswith(prefixes)}
        for msp in self.clients:
            assert await self.records_at(msp) == expected, msp

    async def blocks_of(self, msp: str) -> list[bytes]:
        """All blocks that an organisation's peer has."""
        client = self.blocks[msp]
        newest = decode_block(await client.newest()).number
        async with aclosing(client.blocks(0, newest)) as blocks:
            return [block async for block in blocks]

    def _prefixes(self) -> tuple[str, ...]:
        prefix = keys.runs()
        runs = [key.removeprefix(prefix) for key in self.make.state.records if key.startswith(prefix)]
        return ("organisation/", "revocation/", prefix, *(f"run/{run}/" for run in runs))

    # Longer ways

    def registration(self, msp: str) -> Transaction:
        """The registration of an organisation with its own roots, signed by its operator."""
        roots = [base64.b64encode(root).decode() for root in self.hospitals[msp].authority.roots]
        return self.make.register_organisation(msp, roots=roots)

    async def register(self, *msps: str) -> None:
        """Put these organisations on the ledger, each through its own gateway."""
        await self.commit(*map(self.registration, msps))

    async def running(self, run: str) -> None:
        """Have a run proposed, approved by all, and its first round open."""
        self.make.run = run
        await self.commit(self.make.propose_run())
        for msp in self.make.layout.organisations[1:]:
            await self.commit(self.make.approve_run(msp))
        await self.commit(self.make.publish_global())

    async def ready_to_close(self, run: str) -> None:
        """Have a run whose first round only lacks its closing."""
        await self.running(run)
        for silo in self.make.layout.silos:
            await self.commit(self.make.publish_update(silo))


@asynccontextmanager
async def direct_consortium(directory: Path) -> AsyncIterator[DirectConsortium]:
    """A network of three organisations, of which none is registered on the ledger yet."""
    network = await Network.up(directory / "network")
    connections: list[grpc.aio.Channel] = []
    try:
        founded = found_hospitals(len(network.organisations), directory / "identities")
        clients, blocks = {}, {}
        for organisation in network.organisations:
            connections.append(connection_to(organisation))
            clients[organisation.msp], blocks[organisation.msp] = clients_at(
                network.description, organisation, connections[-1]
            )
        requests = _requests(network.description.channel, founded)
        yield DirectConsortium(network, {each.msp: each for each in founded}, requests, clients, blocks)
    finally:
        for connection in connections:
            await connection.close()
        await network.down(remove=True)


def connection_to(organisation: Organisation) -> grpc.aio.Channel:
    """A connection to an organisation's peer."""
    peer = FabricPeer(
        address=organisation.peer.address, msp=organisation.msp, tls_ca_file=organisation.peer.tls_ca_file
    )
    return connect(peer, organisation.peer.tls_ca_file.read_bytes())


def clients_at(
    of: Description, organisation: Organisation, connection: grpc.aio.Channel
) -> tuple[GatewayClient, BlockClient]:
    """Clients of an organisation's peer that speak as its gateway does."""
    client = organisation.client
    identity = load_client_identity(organisation.msp, client.certificate_file, client.key_file)
    return (
        GatewayClient(connection, identity, channel=of.channel, chaincode=of.chaincode, deadlines=DEADLINES),
        BlockClient(connection, identity, channel=of.channel, deadline_seconds=BLOCKS_SECONDS),
    )


def _requests(ledger: str, hospitals: Sequence[Hospital]) -> Requests:
    members = {}
    for hospital in hospitals:
        for identity in (
            hospital.operator,
            hospital.silo,
            hospital.member("silo", "silo-2"),
            hospital.member("aggregator", "aggregator"),
            hospital.member("verifier", "verifier"),
        ):
            members[identity.member] = identity
    msps = tuple(hospital.msp for hospital in hospitals)
    layout = Layout(msps, SILOS, (f"{msps[0]}/aggregator",), (f"{msps[-1]}/verifier",), (f"{msps[0]}/auditor",))
    return Requests(DictState(ledger), layout, identities=members)
