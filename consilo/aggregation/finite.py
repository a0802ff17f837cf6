"""Whether all numbers of an array are finite, at the speed of memory. Pure; no I/O.

numpy's `isfinite` needs a second array, and is slow for float16. Here two maxima over the bits do it for every dtype:
a number is infinite or NaN exactly if all bits of its exponent are set. Seen as signed integers, the positive ones
of these are the greatest values; seen as unsigned integers, the negative ones are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from consilo.aggregation.dtypes import NUMPY_DTYPES, Array, is_integer

_INFINITY_BITS: Final[Mapping[np.dtype[Any], int]] = MappingProxyType(
    {
        NUMPY_DTYPES["F64"]: 0x7FF0_0000_0000_0000,
        NUMPY_DTYPES["F32"]: 0x7F80_0000,
        NUMPY_DTYPES["F16"]: 0x7C00,
        NUMPY_DTYPES["BF16"]: 0x7F80,
    }
)


def all_finite(values: Array) -> bool:
    """Whether no element is infinite or NaN. True for integers and for no elements.

    Args:
        values: any shape, C-contiguous; a dtype of the tensor schema.
    """
    if values.size == 0 or is_integer(values.dtype):
        return True
    infinity = _INFINITY_BITS[values.dtype]
    width = values.dtype.itemsize
    flat = values.reshape(-1)
    if int(flat.view(f"<i{width}").max()) >= infinity:
        return False
    negative_infinity = infinity | 1 << (8 * width - 1)
    return int(flat.view(f"<u{width}").max()) < negative_infinity
