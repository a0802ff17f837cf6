"""What an organisation's administrator does with its peer: join, install, approve, commit, update. Starts processes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from fabric.binaries import Tools
from fabric.commands import run
from fabric.description import Description
from fabric.errors import CommandFailed
from fabric.layout import Layout

_PASSING: Final = (
    "SERVICE_UNAVAILABLE",  # no Raft leader yet
    "connection refused",
    "Unavailable",
    "context deadline exceeded",
    "failed to create new connection",
)
"""What a network says that is still starting."""

_NOT_APPROVED: Final = (
    "could not fetch approved",
    "private data matching public hash version is not available",  # the peer has got the blocks again, not more
)
"""What a peer says of an approval that it does not know."""

_PAUSE_SECONDS: Final = 0.05


class PeerCommands:
    """The `peer` command of an organisation's administrator.

    Args:
        tools: Fabric's programs.
        layout: where the files are.
        description: of the network.
        msp: the organisation.
        orderer: address of the orderer to send to.
        patience_seconds: how long a network that is still starting is tried again.
    """

    def __init__(
        self,
        tools: Tools,
        layout: Layout,
        description: Description,
        msp: str,
        *,
        orderer: str,
        patience_seconds: float,
    ) -> None:
        self._program = tools.peer
        self._layout = layout
        self._description = description
        self._msp = msp
        self._orderer = ("-o", orderer, "--tls", "--cafile", str(layout.orderer_tls_ca))
        self._patience_seconds = patience_seconds

    async def run(self, *arguments: str | Path) -> str:
        """Run the command once.

        Raises:
            CommandFailed: it failed.
        """
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "FABRIC_CFG_PATH": str(self._layout.peer(self._msp).settings),
            "FABRIC_LOGGING_SPEC": "error",
            "CORE_PEER_MSPCONFIGPATH": str(self._layout.admin(self._msp).msp),
        }
        return await run(self._program, *arguments, environment=environment)

    async def _patiently(self, *arguments: str | Path, done: tuple[str, ...] = ()) -> str:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return await self.run(*arguments)
            except CommandFailed as error:
                if any(text in error.output for text in done):
                    return ""
                if not any(text in error.output for text in _PASSING) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def join(self, block: Path) -> None:
        """Make the peer a member of the channel of this genesis block, or of a later configuration block.

        If it is one, that is good, too.
        """
        await self._patiently("channel", "join", "-b", block, done=("already exists",))

    async def install(self, package: Path) -> None:
        """Install a chaincode package on the peer; if it is there, that is good, too."""
        await self._patiently("lifecycle", "chaincode", "install", package, done=("already successfully installed",))

    async def approve(self) -> None:
        """Approve the chaincode that the description is of, under its sequence; if that is done, it is good, too."""
        package = ("--package-id", self._description.package_id)
        words = (*self._definition(), *package, *self._orderer)
        await self._patiently("lifecycle", "chaincode", "approveformyorg", *words, done=("with unchanged content",))

    async def commit(self, msps: Iterable[str]) -> None:
        """Make what a majority approved the channel's chaincode, endorsed by the peers of these organisations."""
        peers: list[str] = []
        for msp in msps:
            peer = self._description.organisation(msp).peer
            peers += ["--peerAddresses", peer.address, "--tlsRootCertFiles", str(peer.tls_ca_file)]
        await self._patiently("lifecycle", "chaincode", "commit", *self._definition(), *peers, *self._orderer)

    async def committed(self) -> int:
        """The sequence of the channel's chaincode; 0 if there is none."""
        names = ("--channelID", self._description.channel, "--output", "json")
        answer = await self.run("lifecycle", "chaincode", "querycommitted", *names)
        definitions: list[dict[str, Any]] = json.loads(answer).get("chaincode_definitions", [])
        return next((d["sequence"] for d in definitions if d["name"] == self._description.chaincode), 0)

    async def approved(self) -> str | None:
        """The id of the package that the organisation approved for the description's sequence.

        None if it did not, and also if its peer has lost what only this peer had of it: then it approves once more.
        """
        names = ("--channelID", self._description.channel, "--name", self._description.chaincode, "--output", "json")
        words = (*names, "--sequence", str(self._description.sequence))
        answer = await self._patiently("lifecycle", "chaincode", "queryapproved", *words, done=_NOT_APPROVED)
        source = json.loads(answer).get("source", {}) if answer else {}
        package = source.get("Type", {}).get("LocalPackage", {}).get("package_id")
        return str(package) if package else None

    async def query(self, *arguments: str) -> str:
        """Ask the chaincode at the peer, and return what it answers."""
        call = json.dumps({"Args": arguments})
        return await self.run(
            "chaincode", "query", "-C", self._description.channel, "-n", self._description.chaincode, "-c", call
        )

    async def until_channel_is_open(self) -> None:
        """Wait until the peer has opened the channel's ledger, and answers about it."""
        await self._patiently("channel", "getinfo", "-c", self._description.channel)

    async def until_chaincode_answers(self) -> None:
        """Wait until the peer has the chaincode's definition and its server: an answer with a refusal is one, too."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                await self.query("query", "organisations", "{}")
                return
            except CommandFailed as error:
                if "status:4" in error.output:
                    return
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def fetch_configuration(self, block: Path) -> None:
        """Write the channel's newest configuration block to a file."""
        channel = ("-c", self._description.channel)
        await self._patiently("channel", "fetch", "config", block, *channel, *self._orderer)

    async def sign_update(self, update: Path) -> None:
        """Add the administrator's signature to a configuration update, in its file."""
        await self.run("channel", "signconfigtx", "-f", update)

    async def send_update(self, update: Path) -> None:
        """Sign a configuration update and send it to the orderers."""
        await self._patiently("channel", "update", "-f", update, "-c", self._description.channel, *self._orderer)

    def _definition(self) -> tuple[str, ...]:
        sequence = str(self._description.sequence)
        names = ("--channelID", self._description.channel, "--name", self._description.chaincode)
        return (*names, "--version", sequence, "--sequence", sequence)
