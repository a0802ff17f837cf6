"""What a verification found wrong. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        step: of the verification; stable, for programs (each verification lists its steps).
        block: height of the block that is wrong, or None when it is none of them.
        message: what is wrong, in words.
    """

    step: str
    block: int | None
    message: str

    def __str__(self) -> str:
        place = "" if self.block is None else f"block {self.block}: "
        return f"{place}{self.message} [{self.step}]"
