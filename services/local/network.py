"""A Fabric test network, started and ended as a program (`python -m fabric`), and its description. Starts processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from services.local.foundations import Note
from services.local.processes import ProgramMissing, ServiceFailed

_END_SECONDS: Final = 60.0
"""How long the program may take to end what it started, when it is told to."""

_CANNOT_START: Final = 2
"""Exit code of the program when Fabric is not installed."""

_ERROR: Final = "error: "
"""How the program's last words start when something is wrong; the lines before them tell how far it is."""


class _Part(BaseModel):
    # More is said than is needed here.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Server(_Part):
    """A process of the network."""

    address: str
    pid: int
    operations_url: str | None = None


class Orderer(Server):
    """One that orders transactions into blocks."""

    name: str


class Peer(Server):
    """An organisation's peer."""

    tls_ca_file: Path


class Client(_Part):
    """Whom the peers know as a client of the organisation."""

    certificate_file: Path
    key_file: Path


class Organisation(_Part):
    """One organisation's part of the network."""

    msp: str
    peer: Peer
    chaincode: Server
    client: Client


class Description(_Part):
    """The network, as its program writes it to `network.json`."""

    channel: str
    chaincode: str
    orderers: tuple[Orderer, ...]
    organisations: tuple[Organisation, ...]


class Network:
    """A network in a directory.

    Args:
        directory: of its files; is made.
        log: file that takes what the program says.
        options: further ones of `python -m fabric up`.
    """

    def __init__(self, directory: Path, log: Path, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self._log = log
        self._options = options

    async def up(self, organisations: Sequence[str], note: Note) -> Description:
        """Start it, and return when it takes transactions.

        Args:
            organisations: MSP ids.
            note: hears what is being done.

        Raises:
            ProgramMissing: Fabric is not installed.
            ServiceFailed: it did not start; the message says why.
        """
        code, said = await self._program(note, "up", "--organisations", ",".join(organisations), *self._options)
        if code == _CANNOT_START:
            raise ProgramMissing(said)
        if code != 0:
            raise ServiceFailed(f"the Fabric network did not start (exit code {code})\n{said}")
        path = self.directory / "network.json"
        try:
            return Description.model_validate_json(await asyncio.to_thread(path.read_bytes))
        except (OSError, ValidationError) as error:
            raise ServiceFailed(f"{path} does not describe a network: {error}") from None

    async def down(self) -> None:
        """End all of it, also when only some of it was started.

        Raises:
            ServiceFailed: something may still run.
        """
        code, said = await self._program(lambda _: None, "down")
        if code != 0:
            raise ServiceFailed(f"the Fabric network did not end (exit code {code})\n{said}")

    async def _program(self, note: Note, command: str, *options: str) -> tuple[int, str]:
        """Run the program.

        Returns:
            Its exit code, and what it says is wrong.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fabric", command, "--directory", str(self.directory), *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,  # says where the description is
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the program that started it, which then ends it in order
        )
        said: list[str] = []
        try:
            assert process.stderr is not None  # noqa: S101 - a pipe was asked for
            with self._log.open("a", encoding="utf-8") as log:
                async for data in process.stderr:
                    line = data.decode(errors="replace").strip()
                    log.write(line + "\n")
                    if said or line.startswith(_ERROR):
                        said.append(line.removeprefix(_ERROR))
                    else:
                        note(line)
            return await process.wait(), "\n".join(said) or f"see {self._log}"
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
