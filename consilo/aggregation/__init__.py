"""Exact arithmetic on artifacts, block by block, that everyone can recompute.

The same inputs, weights and strategy give the same bytes on every machine: a fixed order of members, float64, no
fused or threaded reduction. Only numpy, ml-dtypes and `consilo.protocol` are imported; never torch, which may make
the process flush subnormal numbers to zero.
"""

from consilo.aggregation.artifact import read_artifact, schema_of, write_artifact, zero_state
from consilo.aggregation.errors import (
    AggregationError,
    ArithmeticUnfit,
    ArtifactMalformed,
    Fault,
    FaultReason,
    InputsInvalid,
    InputsRefused,
    ResultNotFinite,
    StateUnsuitable,
    StrategyParametersInvalid,
    StrategyUnknown,
)
from consilo.aggregation.finite import all_finite
from consilo.aggregation.lockstep import DEFAULT_BLOCK_BYTES, aggregate
from consilo.aggregation.ports import MAX_WEIGHT, Input, Result, Sink, Source
from consilo.aggregation.strategy import Strategy, strategy
from consilo.aggregation.subnormals import check_subnormals

__all__ = [
    "DEFAULT_BLOCK_BYTES",
    "MAX_WEIGHT",
    "AggregationError",
    "ArithmeticUnfit",
    "ArtifactMalformed",
    "Fault",
    "FaultReason",
    "Input",
    "InputsInvalid",
    "InputsRefused",
    "Result",
    "ResultNotFinite",
    "Sink",
    "Source",
    "StateUnsuitable",
    "Strategy",
    "StrategyParametersInvalid",
    "StrategyUnknown",
    "aggregate",
    "all_finite",
    "check_subnormals",
    "read_artifact",
    "schema_of",
    "strategy",
    "write_artifact",
    "zero_state",
]
