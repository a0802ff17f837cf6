"""What came of asking another organisation's gateway whether its ledger is the same. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from consilo.verification.findings import Finding


@dataclass(frozen=True)
class Comparison:
    """What came of asking one organisation.

    Attributes:
        msp: of the organisation.
        height: of the block that was compared; None when none was.
        finding: how its ledger differs, or None.
        missed: why it was not compared, or None.
    """

    msp: str
    height: int | None = None
    finding: Finding | None = None
    missed: str | None = None
