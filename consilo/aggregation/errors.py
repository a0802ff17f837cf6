"""The errors of this package, each with a stable `code`. Pure; no I/O.

AggregationError
|- ArithmeticUnfit            this process flushes subnormal numbers: its results would differ from others'
|- ArtifactMalformed          a file is not the artifact that the schema describes
|- InputsInvalid              the caller's inputs are unordered, too few, or have impossible weights or digests
|- InputsRefused              inputs that could not be used, all of them named
|- ResultNotFinite            the inputs are fine, but their combination overflows
|- StateUnsuitable            tensors that fit no schema, or not this one
|- StrategyParametersInvalid  parameters that the strategy does not take
'- StrategyUnknown            no such strategy, or not in this version
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

FaultReason = Literal["unavailable", "digest-mismatch", "malformed", "not-finite"]
"""Why an input cannot be used. `reopen_round` records it for each excluded update."""


@dataclass(frozen=True)
class Fault:
    """One input that cannot be used: whose, why, and a detail for people, which holds no URL."""

    member: str
    reason: FaultReason
    detail: str


class AggregationError(Exception):
    """Root of all errors raised by `consilo.aggregation`."""

    code: ClassVar[str] = "aggregation-failed"


class ArithmeticUnfit(AggregationError):
    """This process computes with other rules than IEEE 754 demands."""

    code = "arithmetic-unfit"


class ArtifactMalformed(AggregationError):
    """A file's size or header is not what the schema says."""

    code = "artifact-malformed"


class InputsInvalid(AggregationError):
    """The caller's list of inputs cannot be aggregated, whatever their bytes are."""

    code = "inputs-invalid"


class InputsRefused(AggregationError):
    """One or more inputs cannot be used. `faults` names each of them, in member id order."""

    code = "inputs-refused"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.member}: {fault.reason} ({fault.detail})" for fault in faults))


class ResultNotFinite(AggregationError):
    """Every input is finite, but the result has an infinity or a NaN."""

    code = "result-not-finite"


class StateUnsuitable(AggregationError):
    """A mapping of names to arrays that is not what a schema allows, or not what this schema says."""

    code = "state-unsuitable"


class StrategyParametersInvalid(AggregationError):
    """A parameter is missing, unknown or out of range."""

    code = "strategy-parameters-invalid"


class StrategyUnknown(AggregationError):
    """No strategy of this name and version is known here."""

    code = "strategy-unknown"
