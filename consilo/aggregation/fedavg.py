"""The strategy `fedavg`, version 1: the mean of the updates, weighted by their numbers of samples. Pure; no I/O.

McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017, algorithm 1
(server, last line). The arithmetic below is part of the protocol: changing it means a new version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from consilo.aggregation.arithmetic import maximum, narrow, widen
from consilo.aggregation.dtypes import Array, is_integer
from consilo.aggregation.errors import StrategyParametersInvalid


class FederatedAveraging:
    """Weighted mean. Takes no parameters.

    Per floating-point element, in float64, with members i = 1..k in id order:

        s = n_1 * x_1;  s = s + n_2 * x_2;  ...  s = s + n_k * x_k;  result = cast(s / (n_1 + ... + n_k))

    Each product and each sum is rounded on its own (products of float32 and n < 2**29 are exact). The sum of the
    weights is an integer, rounded to float64 once. The cast rounds to nearest even, bfloat16 through float32.
    Integers: the element-wise maximum.
    """

    name: Final = "fedavg"
    version: Final = 1
    minimum_inputs: Final = 1

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, object]) -> FederatedAveraging:
        """Make the strategy.

        Raises:
            StrategyParametersInvalid: there is a parameter.
        """
        if parameters:
            raise StrategyParametersInvalid(f"fedavg takes no parameters, got {', '.join(sorted(parameters))}")
        return cls()

    def combine(self, inputs: Sequence[Array], weights: Sequence[int], out: Array) -> None:
        """Write the mean of `inputs` to `out`. See `Strategy.combine`."""
        if is_integer(out.dtype):
            maximum(inputs, out)
            return
        total = np.empty(out.size, np.float64)
        product = np.empty(out.size, np.float64)
        # float64 inputs may overflow; the caller looks for infinities in what comes out.
        with np.errstate(all="ignore"):
            widen(inputs[0], total)
            np.multiply(total, float(weights[0]), out=total)
            for values, weight in zip(inputs[1:], weights[1:], strict=True):
                widen(values, product)
                np.multiply(product, float(weight), out=product)
                np.add(total, product, out=total)
            np.divide(total, float(sum(weights)), out=total)
            narrow(total, out)
