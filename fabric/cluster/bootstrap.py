"""From nodes that run to a channel that works: joined, the chaincode installed, approved, committed, answering.

Every step looks first whether it is done, so that all of it can run again, at any time, and changes nothing then.
Starts processes, opens connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from fabric.binaries import Tools
from fabric.cluster.network import ClusterNetwork, ClusterOrganisation
from fabric.config_update import adding_organisation, organisation_in, organisations_in
from fabric.creation import Progress, send_join
from fabric.errors import Impossible, PartFailed
from fabric.files import make_block, write_peer_settings
from fabric.layout import Layout
from fabric.peer_commands import PeerCommands
from fabric.readiness import height, listens, metrics
from fabric.together import together

_PAUSE_SECONDS: Final = 0.2


class Bootstrap:
    """Brings a network whose nodes the cluster starts to work.

    Args:
        network: what is wanted.
        tools: Fabric's programs.
        layout: where the administrators' files and the channel's first block are.
        timeout_seconds: for each step; nodes may still be starting.
        progress: is told what is being done.
    """

    def __init__(
        self,
        network: ClusterNetwork,
        tools: Tools,
        layout: Layout,
        *,
        timeout_seconds: float,
        progress: Progress,
    ) -> None:
        self._network = network
        self._tools = tools
        self._layout = layout
        self._timeout_seconds = timeout_seconds
        self._progress = progress
        self._description = network.describe(layout)
        self._packages = {each.msp: network.package(layout, each) for each in network.organisations}
        self._founder = organisations_in(layout.genesis.read_bytes())[0]

    async def run(self) -> None:
        """Do what is not done yet.

        Raises:
            NetworkError: a step failed, or a node did not get ready.
        """
        self._write_settings()
        await together(self._orderer_listens(orderer.name) for orderer in self._description.orderers)
        await together(self._join_orderer(orderer.name) for orderer in self._description.orderers)
        self._progress("the orderers are on the channel")
        await self._add_organisations()
        await together(self._prepare(organisation) for organisation in self._network.organisations)
        await self._commit()
        await self._all_answer()

    async def check(self) -> None:
        """See that it works, and change nothing.

        Raises:
            NetworkError: something does not.
        """
        self._write_settings()
        await together(self._leader_known(orderer.name) for orderer in self._description.orderers)
        self._progress("every orderer knows the leader")
        await self._all_answer()

    def _write_settings(self) -> None:
        for organisation in self._description.organisations:
            write_peer_settings(self._layout, organisation)

    async def _all_answer(self) -> None:
        await together([*map(self._answers, self._packages), *map(self._has_met, self._packages)])
        self._progress("the chaincode answers at every peer, and the peers know each other")

    async def _join_orderer(self, name: str) -> None:
        if await height(self._description.orderer(name).operations_url, self._description.channel) is None:
            await send_join(self._tools, self._layout, self._description, name)
        await self._leader_known(name)

    async def _leader_known(self, name: str) -> None:
        url = self._description.orderer(name).operations_url
        changes = f'consensus_etcdraft_leader_changes{{channel="{self._description.channel}"}}'

        async def known() -> bool:
            return (await metrics(url)).get(changes, 0.0) > 0

        await self._until(known, f"{name} to find a leader")

    async def _orderer_listens(self, name: str) -> None:
        # All of them before any joins: an orderer that cannot reach another waits longer and longer between its tries.
        orderer = self._description.orderer(name)
        await self._until(lambda: listens(orderer.admin_address), f"{name} to listen for its administrator")
        await self._until(lambda: listens(orderer.address), f"{name} to listen")

    async def _add_organisations(self) -> None:
        """Add those to the channel that are not on it, by what one says that is on it from the beginning."""
        await self._peer_listens(self._founder)
        await self._commands(self._founder).join(self._layout.genesis)
        for organisation in self._description.organisations:
            configuration = await self._configuration(self._founder)
            if organisation.msp not in organisations_in(configuration):
                await self._add(organisation.msp, configuration)

    async def _configuration(self, msp: str) -> bytes:
        file = self._layout.directory / "newest.block"
        await self._commands(msp).fetch_configuration(file)
        return file.read_bytes()

    async def _add(self, msp: str, configuration: bytes) -> None:
        new, update = (self._layout.directory / f"{msp}.{kind}" for kind in ("block", "update"))
        alone = self._description.model_copy(update={"organisations": (self._description.organisation(msp),)})
        await make_block(self._tools, self._layout, alone, new)
        group = organisation_in(new.read_bytes(), msp)
        update.write_bytes(adding_organisation(configuration, self._description.channel, msp, group))
        there = organisations_in(configuration)
        signers = there[: len(there) // 2 + 1]
        for signer in signers[1:]:
            await self._commands(signer).sign_update(update)
        await self._commands(signers[0]).send_update(update)
        self._progress(f"{msp}: on the channel, by the signatures of a majority")

    async def _prepare(self, organisation: ClusterOrganisation) -> None:
        msp = organisation.msp
        package = self._packages[msp]
        await self._peer_listens(msp)
        commands = self._commands(msp)
        await commands.join(self._layout.genesis)
        # One that joins late is nobody on the channel as it was at first.
        url, first = self._operations_url(msp), self._operations_url(self._founder)
        blocks = await height(first, self._description.channel) or 0
        await self._until(lambda: self._has_blocks(url, blocks), f"the peer of {msp} to have {blocks} blocks")
        await commands.until_channel_is_open()
        file = self._layout.directory / f"{organisation.name}.tar.gz"
        file.write_bytes(package.data)
        await commands.install(file)
        if await commands.approved() != package.id:
            await commands.approve()
            self._progress(f"{msp}: peer joined, chaincode {package.id} installed and approved")

    async def _commit(self) -> None:
        msps = list(self._packages)
        commands = self._commands(self._founder)
        sequence = await commands.committed()
        if sequence > self._network.sequence:
            raise Impossible(f"the chaincode's sequence is {sequence} already, and cannot go back")
        if sequence < self._network.sequence:
            await commands.commit(msps)
            self._progress(f"chaincode committed, sequence {self._network.sequence}")

    async def _answers(self, msp: str) -> None:
        await self._commands(msp).until_chaincode_answers()

    async def _has_met(self, msp: str) -> None:
        known = f'gossip_membership_total_peers_known{{channel="{self._description.channel}"}}'
        others = len(self._packages) - 1

        async def all_known() -> bool:
            return (await metrics(self._operations_url(msp))).get(known, 0.0) >= others

        await self._until(all_known, f"the peer of {msp} to know the {others} others")

    async def _peer_listens(self, msp: str) -> None:
        address = self._description.organisation(msp).peer.address
        await self._until(lambda: listens(address), f"the peer of {msp} to listen at {address}")

    async def _has_blocks(self, operations_url: str, blocks: int) -> bool:
        return (await height(operations_url, self._description.channel) or 0) >= blocks

    def _operations_url(self, msp: str) -> str:
        return self._description.organisation(msp).peer.operations_url

    def _commands(self, msp: str) -> PeerCommands:
        return PeerCommands(
            self._tools,
            self._layout,
            self._description.model_copy(update={"package_id": self._packages[msp].id}),
            msp,
            orderer=self._description.orderers[0].address,
            patience_seconds=self._timeout_seconds,
        )

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + self._timeout_seconds
        while not await condition():
            if time.monotonic() > deadline:
                raise PartFailed(f"waited {self._timeout_seconds:g} s in vain for {what}: see its pod")
            await asyncio.sleep(_PAUSE_SECONDS)
