"""What a strategy is, and the strategies that this version knows. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from consilo.aggregation.dtypes import Array
from consilo.aggregation.errors import StrategyUnknown
from consilo.aggregation.fedavg import FederatedAveraging
from consilo.aggregation.trimmed_mean import TrimmedMean


class Strategy(Protocol):
    """How the selected updates become the next global model: element by element, so any block can be combined alone.

    A strategy holds nothing but its parameters, so threads may share one. Only + - * /, square roots, casts and exact
    operations (comparison, minimum, integers) are allowed, in an order that its documentation fixes.
    """

    @property
    def name(self) -> str:
        """The name in a run's specification."""
        ...

    @property
    def version(self) -> int:
        """The version of its arithmetic: the same version gives the same bytes for ever."""
        ...

    @property
    def minimum_inputs(self) -> int:
        """The least number of inputs it can combine; a run's minimum must not be lower."""
        ...

    def combine(self, inputs: Sequence[Array], weights: Sequence[int], out: Array) -> None:
        """Write the combination of `inputs` to `out`.

        Args:
            inputs: one block per member in id order, at least `minimum_inputs`; 1-D, equal sizes and dtypes (one of
                the tensor schema's), all numbers finite; not modified.
            weights: the members' weights, integers >= 1.
            out: 1-D, the inputs' size and dtype; overlaps no input. Infinities mean that the result overflowed.
        """
        ...


_STRATEGIES: Final[Mapping[tuple[str, int], Callable[[Mapping[str, object]], Strategy]]] = MappingProxyType(
    {
        (FederatedAveraging.name, FederatedAveraging.version): FederatedAveraging.from_parameters,
        (TrimmedMean.name, TrimmedMean.version): TrimmedMean.from_parameters,
    }
)


def strategy(name: str, version: int, parameters: Mapping[str, object]) -> Strategy:
    """Make the strategy that a run's specification names.

    Args:
        name: its name, for example "fedavg".
        version: the version of its arithmetic.
        parameters: JSON values by name; every one must be known to the strategy.

    Raises:
        StrategyUnknown: no strategy of this name, or not in this version.
        StrategyParametersInvalid: parameters that it does not take.
    """
    make = _STRATEGIES.get((name, version))
    if make is None:
        known = ", ".join(f"{known_name} {known_version}" for known_name, known_version in sorted(_STRATEGIES))
        raise StrategyUnknown(f"no strategy {name!r} in version {version}; known here: {known}")
    return make(parameters)
