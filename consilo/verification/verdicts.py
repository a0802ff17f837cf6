"""The verdict on a global model: is it what its recorded inputs make? Does network I/O.

A mismatch is only said of the very bytes that the ledger names: what else goes wrong may be the fault of a store, or of
the way to it, and then there is no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from consilo.aggregation import Fault, InputsInvalid, InputsRefused, ResultNotFinite
from consilo.api.party import Party
from consilo.protocol.records import GlobalModel
from consilo.protocol.specification import Specification
from consilo.verification.recompute import RecomputeSettings, recompute

Word = Literal["ok", "mismatch"]

_MAX_DETAIL: Final = 1000


@dataclass(frozen=True)
class Verdict:
    """What came of recomputing a global model.

    Attributes:
        word: for the ledger; None when inputs could not be used, so that nothing can be said.
        detail: why, for the ledger and for people.
        recomputed: digest of the recomputed artifact, if there is one.
        faults: inputs that could not be used.
    """

    word: Word | None
    detail: str
    recomputed: str | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def only_unavailable(self) -> bool:
        """Whether inputs that could not be had are all that kept it from being recomputed."""
        return bool(self.faults) and all(fault.reason == "unavailable" for fault in self.faults)


async def judge(party: Party, specification: Specification, model: GlobalModel, settings: RecomputeSettings) -> Verdict:
    """Recompute a global model and compare it, bit for bit, with the ledger's digest.

    Args:
        party: who reads the inputs; must be allowed to.
        specification: the run's.
        model: the global, of round 1 or later.
        settings: limits.

    Raises:
        AggregationError: this installation cannot compute it (an unknown strategy).
        LedgerRolledBack: the ledger lost blocks.
    """
    try:
        computed = await recompute(party, model.run, specification, model.round - 1, model.inputs, settings=settings)
    except (InputsInvalid, ResultNotFinite) as error:
        return Verdict("mismatch", f"no global can be made of its inputs: {error}"[:_MAX_DETAIL])
    except InputsRefused as refused:
        unusable = [fault.member for fault in refused.faults if fault.reason == "not-finite"]
        if unusable:
            detail = f"no global can be made of its inputs: not finite: {', '.join(unusable)}"
            return Verdict("mismatch", detail[:_MAX_DETAIL], faults=refused.faults)
        return Verdict(None, "inputs could not be used", faults=refused.faults)
    recorded = model.artifact.sha256
    if computed.sha256 != recorded:
        detail = f"recomputed SHA-256 {computed.sha256}, the ledger has {recorded}"
        return Verdict("mismatch", detail, recomputed=computed.sha256)
    return Verdict("ok", f"recomputed SHA-256 {recorded}", recomputed=recorded)
