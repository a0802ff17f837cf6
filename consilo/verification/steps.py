"""The steps of a verification and what each came to. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from consilo.api.models import Head

Outcome = Literal["ok", "failed", "not-possible"]

Reason = Literal["not-allowed", "expired", "unavailable", "unsupported", "step-failed"]
"""Why a step was not possible.

`not-allowed`: the run's agreement does not let the member read it. `expired`: past the run's retention. `unavailable`:
a store or gateway is away. `unsupported`: this installation cannot compute it. `step-failed`: an earlier step did.
"""

GRAVEST_FIRST: Final[tuple[Reason, ...]] = ("step-failed", "unavailable", "unsupported", "not-allowed", "expired")
"""Which reason to give where there are several."""

TITLES: Final[dict[int, tuple[str, str]]] = {
    1: ("chain", "chain of blocks, and head"),
    2: ("signatures", "signatures and certificates"),
    3: ("transitions", "every transition replayed, its writes compared"),
    4: ("inputs", "digests of all inputs of each global model"),
    5: ("globals", "each global model recomputed, and compared with ledger and store"),
}
"""Number of each step -> its name, for programs, and its title."""


@dataclass(frozen=True)
class Step:
    """One step's result.

    Attributes:
        number: from 1 on.
        outcome: what it came to.
        detail: that in a sentence.
        problems: what is wrong, or kept the step from being done: one sentence for each.
        reason: why it was not possible, or None.
    """

    number: int
    outcome: Outcome
    detail: str
    problems: tuple[str, ...] = ()
    reason: Reason | None = None

    @property
    def name(self) -> str:
        """For programs."""
        return TITLES[self.number][0]

    @property
    def title(self) -> str:
        """What is checked."""
        return TITLES[self.number][1]


@dataclass(frozen=True)
class CheckedGlobal:
    """What was found about one global model.

    Attributes:
        round: of the global; it was made from updates of the round before.
        attempt: that made it.
        sha256: digest that the ledger has.
        inputs: how many went into it.
        recomputed: digest of the recomputed artifact; None when it was not recomputed.
        stored: whether the object in its owner's store has the ledger's digest; None when it could not be looked at.
        attested: verdict that was published in this verification, or None.
    """

    round: int
    attempt: int
    sha256: str
    inputs: int
    recomputed: str | None
    stored: bool | None
    attested: Literal["ok", "mismatch"] | None = None


@dataclass(frozen=True)
class Report:
    """What a verification came to.

    Attributes:
        run: its name.
        steps: all five, in order.
        head: the last block that was replayed, or None when not even the genesis held.
        globals: the global models that were looked at.
    """

    run: str
    steps: tuple[Step, ...]
    head: Head | None
    globals: tuple[CheckedGlobal, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, and all was looked at that the member may read and that still has to be there."""
        return all(step.outcome == "ok" or step.reason in {"not-allowed", "expired"} for step in self.steps)

    @property
    def complete(self) -> bool:
        """Whether every step was possible and found nothing wrong."""
        return all(step.outcome == "ok" for step in self.steps)

    @property
    def failed(self) -> bool:
        """Whether something wrong was found."""
        return any(step.outcome == "failed" for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """For programs; the names of the fields are stable."""
        return {
            "run": self.run,
            "ok": self.ok,
            "complete": self.complete,
            "head": None if self.head is None else self.head.model_dump(mode="json"),
            "steps": [{"name": step.name, "title": step.title, **asdict(step)} for step in self.steps],
            "globals": [asdict(checked) for checked in self.globals],
        }


@dataclass(frozen=True)
class Progress:
    """How far a verification is.

    Attributes:
        step: number of the step (1 stands for 1 to 3, which are one pass; 4 for 4 and 5).
        done: blocks or global models.
        total: of them.
        what: what is being looked at, for people.
    """

    step: int
    done: int
    total: int
    what: str


OnProgress = Callable[[Progress], None]
"""Called in the event loop's thread."""
