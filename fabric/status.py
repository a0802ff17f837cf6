"""How a network stands: its processes, their memory, the blocks that they have. Looks at processes, asks them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from fabric.control import Control
from fabric.description import Description
from fabric.errors import NetworkError
from fabric.processes import look
from fabric.readiness import height


@dataclass(frozen=True)
class PartStatus:
    """A process.

    Attributes:
        name: e.g. `peer-HospitalA`.
        state: `running`, `frozen` or `ended`.
        pid: of the process that was started last.
        memory_bytes: resident; 0 when it has ended.
        height: number of blocks that it has; None for a chaincode server, and when it does not say.
        addresses: by what is reached there.
        log: its file.
    """

    name: str
    state: str
    pid: int
    memory_bytes: int
    height: int | None
    addresses: dict[str, str]
    log: Path


@dataclass(frozen=True)
class NetworkStatus:
    """A network.

    Attributes:
        file: its description.
        sequence: of the chaincode, as a peer says; None when none does.
    """

    file: Path
    channel: str
    chaincode: str
    package_id: str
    sequence: int | None
    parts: tuple[PartStatus, ...]

    @property
    def running(self) -> bool:
        """Whether all processes run."""
        return all(part.state == "running" for part in self.parts)


async def read_status(control: Control, description: Description) -> NetworkStatus:
    """See how a network stands."""
    parts = await asyncio.gather(*(_part(control, description, name) for name in description.parts()))
    return NetworkStatus(
        file=control.parts.layout.description,
        channel=description.channel,
        chaincode=description.chaincode,
        package_id=description.package_id,
        sequence=await _sequence(control, description, parts),
        parts=tuple(parts),
    )


async def _part(control: Control, description: Description, name: str) -> PartStatus:
    process = control.process(name)
    seen = look(process)
    addresses, operations_url, log = _reached(description, name)
    blocks = None
    if seen.state == "running" and operations_url is not None:
        blocks = await height(operations_url, description.channel)
    return PartStatus(name, seen.state, process.pid if process else 0, seen.memory_bytes, blocks, addresses, log)


def _reached(description: Description, name: str) -> tuple[dict[str, str], str | None, Path]:
    kind, owner = description.parts()[name]
    if kind == "orderer":
        orderer = description.orderer(owner)
        addresses = {
            "grpc": orderer.address,
            "admin": orderer.admin_address,
            "operations": orderer.operations_url,
        }
        return addresses, orderer.operations_url, orderer.log
    if kind == "peer":
        peer = description.organisation(owner).peer
        return {"grpc": peer.address, "operations": peer.operations_url}, peer.operations_url, peer.log
    server = description.organisation(owner).chaincode
    return {"grpc": server.address}, None, server.log


async def _sequence(control: Control, description: Description, parts: list[PartStatus]) -> int | None:
    for part in parts:
        kind, owner = description.parts()[part.name]
        if kind == "peer" and part.height is not None:
            try:
                return await control.commands(description, owner).committed()
            except NetworkError:
                continue
    return None
