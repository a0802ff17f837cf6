"""The kinds of ledgers that can be replayed. Pure; no I/O.

What is Fabric's is imported only when a ledger on Fabric is read: it needs the extra `fabric`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from consilo.api.errors import ApiError
from consilo.api.party import Party
from consilo.verification.comparison import Comparison
from consilo.verification.replay import BlockReplay, Replay


class LedgerNotReadable(ApiError):
    """This kind of ledger cannot be read here. `code` is `ledger-kind-unknown` or `fabric-not-installed`."""


@dataclass(frozen=True)
class Kind:
    """How a kind of ledger is read and replayed.

    Attributes:
        name: as `LedgerInfo.kind` says it.
        replay: makes the replay; takes the options of `BlockReplay`.
        block_of_line: the block in a line of `/v1/blocks`; raises `ValueError` where there is none.
        compares: asks the gateways of others, where each organisation holds a state of its own; else None.
    """

    name: str
    replay: Callable[..., BlockReplay[Any]]
    block_of_line: Callable[[bytes], bytes]
    compares: Callable[[Party, Replay], Awaitable[Sequence[Comparison]]] | None = None


def kind_of(name: str) -> Kind:
    """The kind of this name.

    Raises:
        LedgerNotReadable: it is not known here, or not installed.
    """
    match name:
        case "embedded":
            from consilo.verification.embedded import EmbeddedReplay

            return Kind(name, EmbeddedReplay, bytes)
        case "fabric":
            try:
                from consilo.fabric.lines import decode_line
                from consilo.verification.fabric import FabricReplay
                from consilo.verification.others import compare_with_others
            except ModuleNotFoundError as error:
                message = f"this ledger is on Fabric, and {error.name} is missing: pip install 'consilo[fabric]'"
                raise LedgerNotReadable("fabric-not-installed", message) from None
            return Kind(name, FabricReplay, decode_line, compare_with_others)
    message = f"this ledger is of kind {name[:40]!r}; this version reads embedded ones and those on Fabric"
    raise LedgerNotReadable("ledger-kind-unknown", message)
