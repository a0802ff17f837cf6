"""A consortium on the embedded ledger: all organisations share one gateway, which keeps the ledger, and one store.

Writes the genesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consilo.api.gateway import now_ms
from consilo.embedded.blocks import Genesis
from consilo.protocol.certificates import roots_digest
from services.local.consortium import Hospital
from services.local.foundations import Node, Note, Site

LEDGER: Final = "demo"


class EmbeddedFoundation:
    """See `services.local.foundations.Foundation`.

    Args:
        directory: for genesis, ledger and objects.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def lay(self, hospitals: Sequence[Hospital], note: Note) -> list[Site]:
        """Write the genesis. The ledger's file is made by the gateway."""
        note("starting ledger and store")
        genesis = self._directory / "genesis.json"
        write_genesis(hospitals, genesis)
        arguments = {"embedded.file": str(self._directory / "ledger.sqlite"), "embedded.genesis-file": str(genesis)}
        return [Site("", hospitals, self._directory, arguments)]

    def nodes(self) -> list[Node]:
        """None: the ledger is a file of its gateway."""
        return []


def write_genesis(hospitals: Sequence[Hospital], path: Path) -> None:
    """The first block of the ledger: which organisations it admits, by the digest of their roots."""
    organisations = {hospital.msp: roots_digest(hospital.authority.roots) for hospital in hospitals}
    path.write_bytes(Genesis(ledger=LEDGER, organisations=organisations, created_at=now_ms()).encode())
