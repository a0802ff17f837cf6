"""The strategy `trimmed_mean`, version 1: per element, the mean without the extremes. Pure; no I/O.

Yin, Chen, Ramchandran and Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML
2018, definition 2 (coordinate-wise trimmed mean). The arithmetic below is part of the protocol: changing it means a
new version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from consilo.aggregation.arithmetic import narrow, widen
from consilo.aggregation.dtypes import Array, is_integer
from consilo.aggregation.errors import StrategyParametersInvalid


class TrimmedMean:
    """Unweighted mean of each element's values without the `trim` lowest and the `trim` highest.

    Values are ordered as IEEE 754's totalOrder does (-0 before +0, which `<` leaves open), added in ascending order in
    float64 and divided by their number; the cast rounds to nearest even, bfloat16 through float32. Integers: the
    highest value that is left after trimming, so that the element-wise maximum is as robust as the mean.

    Weights do not count: a silo could claim any number of samples.
    """

    name: Final = "trimmed_mean"
    version: Final = 1

    def __init__(self, trim: int) -> None:
        self.trim: Final = trim
        self.minimum_inputs: Final = 2 * trim + 1

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, object]) -> TrimmedMean:
        """Make the strategy from `{"trim": values removed per side}`.

        Raises:
            StrategyParametersInvalid: `trim` is missing or no integer >= 0, or there is another parameter.
        """
        trim = parameters.get("trim")
        if set(parameters) != {"trim"} or type(trim) is not int or trim < 0:
            raise StrategyParametersInvalid("trimmed_mean takes exactly one parameter: trim, an integer >= 0")
        return cls(trim)

    def combine(self, inputs: Sequence[Array], weights: Sequence[int], out: Array) -> None:
        """Write the trimmed mean of `inputs` to `out`; `weights` are not used. See `Strategy.combine`."""
        rows = _sorted_rows([_to_keys(values) for values in inputs])
        kept = rows[self.trim : len(rows) - self.trim]
        if is_integer(out.dtype):
            np.copyto(out, kept[-1])
            return
        total = np.empty(out.size, np.float64)
        values64 = np.empty(out.size, np.float64)
        with np.errstate(all="ignore"):
            widen(_from_keys(kept[0]).view(out.dtype), total)
            for row in kept[1:]:
                widen(_from_keys(row).view(out.dtype), values64)
                np.add(total, values64, out=total)
            np.divide(total, float(len(kept)), out=total)
            narrow(total, out)


def _to_keys(values: Array) -> Array:
    """Copy `values` to integers of the same width in the same order. Sorting integers leaves nothing open."""
    if is_integer(values.dtype):
        return values.copy()
    return _flip_negatives(values.view(f"<i{values.itemsize}"))


def _from_keys(keys: Array) -> Array:
    """Copy the keys of floating-point numbers back to their bits."""
    return _flip_negatives(keys)


def _flip_negatives(bits: Array) -> Array:
    # Sign and magnitude to two's complement and back: the bits below the sign are flipped where it is set.
    width = 8 * bits.itemsize
    mask = np.right_shift(bits, width - 1)
    np.bitwise_and(mask, (1 << (width - 1)) - 1, out=mask)
    return np.bitwise_xor(bits, mask, out=mask)


def _sorted_rows(rows: list[Array]) -> list[Array]:
    """Sort element by element across `rows`, which are overwritten: row 0 gets the lowest values."""
    spare = np.empty_like(rows[0])
    for low, high in comparators(len(rows)):
        np.minimum(rows[low], rows[high], out=spare)
        np.maximum(rows[low], rows[high], out=rows[high])
        rows[low], spare = spare, rows[low]
    return rows


@lru_cache(maxsize=16)
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs (low, high) of Batcher's odd-even merge sort, a sorting network for `count` values.

    Knuth, The Art of Computer Programming, volume 3, section 5.2.2, algorithm M. A network sorts whole rows at once,
    with vector instructions.
    """
    pairs = []
    merged = 1
    while merged < count:
        distance = merged
        while distance >= 1:
            for start in range(distance % merged, count - distance, 2 * distance):
                for low in range(start, min(start + distance, count - distance)):
                    if low // (2 * merged) == (low + distance) // (2 * merged):
                        pairs.append((low, low + distance))
            distance //= 2
        merged *= 2
    return tuple(pairs)
