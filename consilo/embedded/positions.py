"""Places in a ledger: a transaction's position, and the head that a whole chain is known by. Pure; no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_HEIGHT: Final = 2**53 - 1
"""No block is higher: a larger integer has no canonical form."""

_TEXT: Final = re.compile(r"(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, order=True)
class Position:
    """Place of a transaction; positions are ordered as the ledger is.

    Attributes:
        height: of its block.
        index: within the block, from 0.
    """

    height: int
    index: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str` wrote.

        Raises:
            ValueError: anything else.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:32]!r} is no position in a ledger: <height>.<index>")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}.{self.index}"


BEGINNING: Final = Position(0, 0)
"""Before every transaction: the genesis."""


@dataclass(frozen=True)
class Head:
    """The last block of a ledger at some moment. Its hash stands for all blocks up to it.

    Attributes:
        ledger: name of the ledger.
        height: of the block; the genesis has 0.
        hash: SHA-256 of the block's bytes, hexadecimal.
    """

    ledger: str
    height: int
    hash: str
