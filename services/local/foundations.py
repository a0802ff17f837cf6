"""What the services of a consortium stand on: a ledger, which says what gateways it needs. Pure; no I/O.

There are two: one embedded ledger, with one gateway and one store for all (`embedded_foundation`); and a Fabric
network, with a gateway and a store for each organisation (`fabric_foundation`). Everything above them is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from services.local.consortium import Hospital

LedgerKind = Literal["embedded", "fabric"]

Note = Callable[[str], None]
"""Hears what is being done now."""


@dataclass(frozen=True)
class Site:
    """One gateway and one store, and for whom they are.

    Attributes:
        name: is put behind the names of its services; empty when there is only one site.
        hospitals: whose gateway it is; its identity is the first one's.
        directory: of what it keeps.
        ledger_arguments: what the gateway must be told to reach its ledger.
    """

    name: str
    hospitals: Sequence[Hospital]
    directory: Path
    ledger_arguments: Mapping[str, str | None]

    def service(self, kind: str) -> str:
        """Name of one of its services: `store`, or `store-HospitalA`."""
        return f"{kind}-{self.name}" if self.name else kind


@dataclass(frozen=True)
class Node:
    """A process of the ledger that is no service of Consilo: a peer, its chaincode's server, an orderer.

    Attributes:
        name: for people.
        address: `host:port` where it answers.
        pid: its process id.
        operations_url: where its version can be asked for.
    """

    name: str
    address: str
    pid: int
    operations_url: str | None


class Foundation(Protocol):
    """A ledger that can be built on."""

    async def lay(self, hospitals: Sequence[Hospital], note: Note) -> list[Site]:
        """Make the ledger for these organisations, and say what each needs. What it starts ends with the services.

        Raises:
            ServiceFailed: it cannot be made.
        """
        ...

    def nodes(self) -> list[Node]:
        """The ledger's own processes, once it is made."""
        ...
