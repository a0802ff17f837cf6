"""A check that this thread computes with subnormal numbers. Pure; no I/O.

Some libraries switch the processor to treat numbers below the smallest normal one as zero, for speed. The switch
belongs to a thread and is inherited by the threads it starts. A global model computed that way would differ from the
others' in its smallest numbers, and so in its digest.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from consilo.aggregation.errors import ArithmeticUnfit

_ELEMENTS: Final = 64
"""Enough for numpy's vector loops and their remainders."""


def check_subnormals() -> None:
    """Check that arithmetic in the calling thread neither reads nor writes subnormal numbers as zero.

    Raises:
        ArithmeticUnfit: it does, in float32 or float64.
    """
    for dtype in (np.float32, np.float64):
        information = np.finfo(dtype)
        smallest: npt.NDArray[Any] = np.full(_ELEMENTS + 1, information.smallest_subnormal, dtype=dtype)
        normal: npt.NDArray[Any] = np.full(_ELEMENTS + 1, information.smallest_normal, dtype=dtype)
        # Products of integers with subnormals (inputs read as zero), halves of normals (results written as zero).
        if not (_all_set(smallest * 3) and _all_set(normal * 0.5)):
            raise ArithmeticUnfit(
                f"this process flushes subnormal {np.dtype(dtype).name} numbers to zero, so its results would differ "
                "from everybody else's; run the aggregation in a process that loads neither torch nor another "
                "library built with -ffast-math"
            )
    # Casts between the two are a path of their own.
    smallest_float32 = np.full(_ELEMENTS + 1, np.finfo(np.float32).smallest_subnormal, dtype=np.float32)
    if not _all_set(smallest_float32.astype(np.float64).astype(np.float32)):
        raise ArithmeticUnfit("this process flushes subnormal float32 numbers to zero in casts")


def _all_set(values: npt.NDArray[Any]) -> bool:
    # By the bits: a comparison of numbers would itself read subnormals as zero, which hides nothing but proves less.
    return bool(values.view(f"u{values.itemsize}").all())
