"""A Fabric network on this machine, for development and tests: started, looked at, harmed, changed, ended.

    network = await Network.up(directory)
    await network.kill_peer("HospitalB")
    await network.start_peer("HospitalB")
    await network.down(remove=True)

Its processes outlive the program that starts them; whoever knows the directory can go on with it. Starts and ends
processes, writes files below the directory only.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from fabric.changes import add_organisation, upgrade
from fabric.control import DEFAULT_OPTIONS, Control, Options, control_of
from fabric.creation import Progress, create
from fabric.description import Description, OrdererNode, Organisation
from fabric.ending import end_network, remove_network_files
from fabric.errors import NetworkAbsent, NetworkError
from fabric.layout import Layout
from fabric.locking import locked
from fabric.names import chaincode_name, peer_name
from fabric.plan import Wanted
from fabric.processes import runs, send
from fabric.status import NetworkStatus, read_status
from fabric.together import together

__all__ = ["Network", "Options", "end_network"]


def _silent(_: str) -> None:
    return


class Network:
    """A network that is complete, whether its processes run or not. Made by `up` and `load`.

    Args:
        control: of its processes.
        description: what is known of it.
        options: how it is handled.
    """

    def __init__(self, control: Control, description: Description, options: Options) -> None:
        self._control = control
        self._description = description
        self._options = options

    @classmethod
    def load(cls, directory: Path, options: Options = DEFAULT_OPTIONS) -> Network:
        """The network in a directory.

        Raises:
            NetworkAbsent: there is none.
        """
        control = control_of(directory, options)
        return cls(control, Description.load(control.parts.layout.description), options)

    @classmethod
    async def up(
        cls,
        directory: Path,
        *,
        organisations: Sequence[str] | None = None,
        orderers: int | None = None,
        channel: str | None = None,
        batch_timeout_ms: int | None = None,
        max_clock_difference_seconds: float | None = None,
        options: Options = DEFAULT_OPTIONS,
        progress: Progress = _silent,
    ) -> Network:
        """Have the network in a directory run: make it, or start what has ended of the one that is there.

        Args:
            directory: of all its files; made if it is not there.
            organisations: see `Wanted`, as for the next four.
            orderers: default of a new network: 1.
            channel: default of a new network: `consilo`.
            batch_timeout_ms: default of a new network: 20.
            max_clock_difference_seconds: default of a new network: 60.
            options: how it is handled.
            progress: is told what is being done.

        Raises:
            BinariesMissing: Fabric is not installed.
            NetworkError: it cannot be started, or is not as wanted. What was started of a new one has been ended.
        """
        wanted = Wanted(organisations, orderers, channel, batch_timeout_ms, max_clock_difference_seconds)
        control = control_of(directory, options)
        _ = control.parts.binaries  # before anything is made
        layout = control.parts.layout
        with locked(layout):
            try:
                network = cls(control, Description.load(layout.description), options)
            except NetworkAbsent:
                await control.end_all()  # what an interrupted `up` has left
                remove_network_files(layout)
                return cls(control, await _created(control, wanted, progress), options)
            await network._start_ended(wanted, progress)
            return network

    async def down(self, *, remove: bool = False) -> None:
        """End all processes; `up` goes on with the same ledger.

        Args:
            remove: the network's files as well; there is no network then.
        """
        await end_network(self._layout.directory, remove=remove, options=self._options)

    @property
    def description(self) -> Description:
        """What is known of it: names, addresses, files."""
        return self._description

    @property
    def file(self) -> Path:
        """The description's file."""
        return self._layout.description

    @property
    def organisations(self) -> tuple[Organisation, ...]:
        """Its organisations with their peers and chaincode servers."""
        return self._description.organisations

    @property
    def orderers(self) -> tuple[OrdererNode, ...]:
        """Its orderers."""
        return self._description.orderers

    def organisation(self, msp: str) -> Organisation:
        """The organisation with this MSP id.

        Raises:
            NetworkError: there is none.
        """
        return self._description.organisation(msp)

    async def status(self) -> NetworkStatus:
        """How it stands."""
        return await read_status(self._control, self._description)

    async def query(self, msp: str, *arguments: str) -> str:
        """What the chaincode at an organisation's peer answers to its administrator.

        Raises:
            CommandFailed: it refuses, or the peer does not answer; the message holds what was said.
        """
        return await self._control.commands(self._description, msp).query(*arguments)

    async def start(self, part: str) -> None:
        """Start a part again, and wait until it can be used; nothing, if it runs.

        Args:
            part: its name: `orderer0`, `peer-HospitalA`, `chaincode-HospitalA-1` (with the sequence).

        Raises:
            NetworkError: there is no such part, or it does not get ready.
        """
        await self._control.start_again(self._description, part)
        self._note_pids()

    async def kill(self, part: str) -> None:
        """End a part with SIGKILL, and wait until it has ended.

        Raises:
            NetworkError: there is no such part.
        """
        self._control.parts.make(self._description, part)
        await self._control.end([part], grace_seconds=0)

    def freeze(self, part: str) -> None:
        """Stop a part where it is (SIGSTOP).

        Raises:
            NetworkError: there is no such part, or it has ended.
        """
        self._send(part, signal.SIGSTOP)

    def thaw(self, part: str) -> None:
        """Let a frozen part go on (SIGCONT).

        Raises:
            NetworkError: there is no such part, or it has ended.
        """
        self._send(part, signal.SIGCONT)

    async def start_peer(self, msp: str) -> None:
        """Start an organisation's peer again: see `start`."""
        await self.start(peer_name(msp))

    async def kill_peer(self, msp: str) -> None:
        """Kill an organisation's peer: see `kill`."""
        await self.kill(peer_name(msp))

    async def start_chaincode(self, msp: str) -> None:
        """Start an organisation's chaincode server again: see `start`."""
        await self.start(chaincode_name(msp, self._description.sequence))

    async def kill_chaincode(self, msp: str) -> None:
        """Kill an organisation's chaincode server: see `kill`."""
        await self.kill(chaincode_name(msp, self._description.sequence))

    async def start_orderer(self, name: str) -> None:
        """Start an orderer again: see `start`."""
        await self.start(name)

    async def kill_orderer(self, name: str) -> None:
        """Kill an orderer: see `kill`."""
        await self.kill(name)

    async def upgrade(self, progress: Progress = _silent) -> None:
        """Deploy the chaincode, as its code is now, under the next sequence: see `changes.upgrade`."""
        with locked(self._layout):
            await upgrade(self._control, self._description, self._save, progress)

    async def add_organisation(self, msp: str, progress: Progress = _silent) -> None:
        """Add an organisation to the running channel: see `changes.add_organisation`."""
        with locked(self._layout):
            await add_organisation(self._control, self._description, msp, self._save, progress)

    @property
    def _layout(self) -> Layout:
        return self._control.parts.layout

    async def _start_ended(self, wanted: Wanted, progress: Progress) -> None:
        differences = wanted.differences(self._description)
        if differences:
            raise NetworkError(
                f"there is another network in {self._layout.directory}: {'; '.join(differences)}. "
                "Remove it with `python -m fabric down --remove`, or choose another directory"
            )
        ended = [name for name in self._description.parts() if not runs(self._control.process(name))]
        if not ended:
            progress("all of it runs already")
            return
        progress(f"starting {', '.join(ended)}")
        await together(self._control.start_again(self._description, name) for name in ended)
        self._note_pids()

    def _save(self, description: Description) -> None:
        self._description = description
        self._note_pids()

    def _note_pids(self) -> None:
        self._description = _with_pids(self._control, self._description)
        self._description.save(self.file)

    def _send(self, part: str, number: signal.Signals) -> None:
        self._control.parts.make(self._description, part)
        process = self._control.process(part)
        if process is None or not send(process, number):
            raise NetworkError(f"{part} has ended")


async def _created(control: Control, wanted: Wanted, progress: Progress) -> Description:
    try:
        description = _with_pids(control, await create(wanted, control, progress))
    except BaseException:
        await control.end_all()
        raise
    description.save(control.parts.layout.description)
    return description


def _with_pids(control: Control, description: Description) -> Description:
    def pid_of(name: str) -> int:
        process = control.process(name)
        return process.pid if process is not None else 0

    return description.with_pids(pid_of)
