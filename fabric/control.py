"""Starts the parts of a network, waits until they are ready, ends them. Starts and ends processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fabric.description import Description
from fabric.errors import NetworkError
from fabric.layout import Layout
from fabric.names import peer_name
from fabric.parts import CHAINCODE_COMMAND, Parts
from fabric.peer_commands import PeerCommands
from fabric.ports import PortLocks
from fabric.processes import Part, Process, end, noted, runs, start
from fabric.readiness import height, listens, metrics, until
from fabric.together import together


@dataclass(frozen=True)
class Options:
    """How a network is handled, whatever it is.

    Attributes:
        start_timeout_seconds: for one of its parts to be ready.
        stop_timeout_seconds: for one of its parts to end, before it is killed.
        chaincode_command: starts a chaincode server; its options are added.
    """

    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 10.0
    chaincode_command: Sequence[str] = CHAINCODE_COMMAND


DEFAULT_OPTIONS: Final = Options()


class Control:
    """The processes of a network.

    Args:
        parts: makes the parts.
        options: how it is handled.
    """

    def __init__(self, parts: Parts, options: Options) -> None:
        self.parts = parts
        self._options = options

    def process(self, name: str) -> Process | None:
        """The process of a part, as it was started last."""
        return noted(self.parts.layout.note(name))

    def start(self, part: Part, locks: PortLocks) -> Process:
        """Start a part, unless it runs."""
        process = self.process(part.name)
        return process if process is not None and runs(process) else start(part, locks.descriptors)

    def start_with_locks(self, description: Description, name: str) -> None:
        """Start a part of a network that has its ports, unless it runs.

        Raises:
            NetworkError: there is no such part, or it cannot be started.
        """
        part = self.parts.make(description, name)
        locks = PortLocks()
        try:
            locks.hold(description.ports())
            self.start(part, locks)
        finally:
            locks.close()

    def require_running(self, description: Description) -> None:
        """Check that the network can change: all peers and chaincode servers run, and a majority of the orderers.

        Raises:
            NetworkError: they do not.
        """
        ended = [name for name in description.parts() if not runs(self.process(name))]
        orderers = [orderer.name for orderer in description.orderers]
        if set(ended) - set(orderers) or len(set(ended) & set(orderers)) * 2 >= len(orderers):
            raise NetworkError(f"{', '.join(ended)} must run for that: start with `python -m fabric up`")

    async def start_again(self, description: Description, name: str) -> None:
        """Start a part of a network that is complete, unless it runs, and wait until it is ready to be used.

        Raises:
            NetworkError: there is no such part, or it did not get ready.
        """
        self.start_with_locks(description, name)
        kind, owner = description.parts()[name]
        if kind == "orderer":
            await self.orderer_ready(description, owner)
            await self.leader_known(description, owner)
        elif kind == "chaincode":
            await self.chaincode_ready(description, owner)
        else:
            await self.peer_ready(description, owner)
            await self.commands(description, owner).until_channel_is_open()
            await self.peers_have_met(description, [owner])

    async def orderer_ready(self, description: Description, name: str) -> None:
        """Wait until an orderer accepts the commands of its administrator."""
        orderer = description.orderer(name)
        part = self.parts.orderer(name)
        await self._until_listening(part, orderer.admin_address)
        await self._until_listening(part, orderer.address)

    async def leader_known(self, description: Description, name: str) -> None:
        """Wait until an orderer of the channel knows the leader; not if too few run for there to be one."""
        running = sum(runs(self.process(each.name)) for each in description.orderers)
        if running * 2 <= len(description.orderers):
            return
        orderer = description.orderer(name)
        changes = f'consensus_etcdraft_leader_changes{{channel="{description.channel}"}}'

        async def known() -> bool:
            return (await metrics(orderer.operations_url)).get(changes, 0.0) > 0

        await self._until(self.parts.orderer(name), known, "find a leader")

    async def peer_ready(self, description: Description, msp: str) -> None:
        """Wait until a peer accepts calls."""
        await self._until_listening(self.parts.peer(description, msp), description.organisation(msp).peer.address)

    async def peers_have_met(self, description: Description, msps: Iterable[str]) -> None:
        """Wait until these organisations' peers know all others that run, so that their gateways can choose of them."""
        running = [each.msp for each in description.organisations if runs(self.process(peer_name(each.msp)))]
        known = f'gossip_membership_total_peers_known{{channel="{description.channel}"}}'

        async def has_met(msp: str) -> None:
            url = description.organisation(msp).peer.operations_url

            async def all_known() -> bool:
                return (await metrics(url)).get(known, 0.0) >= len(running) - 1

            await self._until(self.parts.peer(description, msp), all_known, "meet all other peers")

        await together(map(has_met, msps))

    async def caught_up(self, description: Description, msp: str, blocks: int) -> None:
        """Wait until a peer has so many blocks."""
        url = description.organisation(msp).peer.operations_url

        async def has_them() -> bool:
            return (await height(url, description.channel) or 0) >= blocks

        await self._until(self.parts.peer(description, msp), has_them, f"get {blocks} blocks")

    async def chaincode_ready(self, description: Description, msp: str) -> None:
        """Wait until a chaincode server accepts its peer."""
        part = self.parts.chaincode(description, msp)
        await self._until_listening(part, description.organisation(msp).chaincode.address)

    async def end(self, names: Iterable[str], *, grace_seconds: float | None = None) -> None:
        """End parts at the same time.

        Args:
            names: of the parts.
            grace_seconds: how long they may take before they are killed; default: as set; 0: killed at once.
        """
        grace = self._options.stop_timeout_seconds if grace_seconds is None else grace_seconds
        found = [process for process in map(self.process, names) if process is not None]
        await asyncio.gather(*(end(process, grace) for process in found))

    async def end_all(self) -> None:
        """End every process that was ever noted, whatever the description says."""
        notes = self.parts.layout.processes
        await self.end(sorted(note.stem for note in notes.glob("*.json")))

    def commands(self, description: Description, msp: str) -> PeerCommands:
        """The `peer` command of an organisation's administrator, with an orderer that runs."""
        running = [each for each in description.orderers if runs(self.process(each.name))]
        orderer = (running or description.orderers)[0].address
        return PeerCommands(
            self.parts.binaries,
            self.parts.layout,
            description,
            msp,
            orderer=orderer,
            patience_seconds=self._options.start_timeout_seconds,
        )

    async def _until_listening(self, part: Part, address: str) -> None:
        await self._until(part, lambda: listens(address), "listen")

    async def _until(self, part: Part, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        process = self.process(part.name)
        assert process is not None  # noqa: S101 - it has been started
        await until(condition, part, process, what, self._options.start_timeout_seconds)


def control_of(directory: Path, options: Options) -> Control:
    """Control of the network in a directory, whether it is there yet or not.

    Raises:
        NetworkError: this system is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise NetworkError("a native network needs Linux: its processes are known again by what /proc says of them")
    return Control(Parts(Layout(directory.absolute()), options.chaincode_command), options)
