"""The few operations that the strategies share. Pure; no I/O.

Every operation is one numpy ufunc or cast per call, correctly rounded by IEEE 754: so nothing is fused or reordered,
and the bytes do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from consilo.aggregation.dtypes import BFLOAT16, Array


def widen(values: Array, out: npt.NDArray[np.float64]) -> None:
    """Copy floating-point `values` (1-D) to float64, exactly."""
    np.copyto(out, values, casting="unsafe")


def narrow(values: npt.NDArray[np.float64], out: Array) -> None:
    """Round float64 `values` (1-D) to `out`'s floating-point dtype: to nearest, ties to even; bfloat16 through float32.

    Overflow becomes an infinity.
    """
    source: Array = values.astype(np.float32) if out.dtype == BFLOAT16 else values
    np.copyto(out, source, casting="unsafe")


def maximum(blocks: Sequence[Array], out: Array) -> None:
    """Write the element-wise maximum of integer `blocks` (1-D, equal sizes, `out`'s dtype) to `out`."""
    np.copyto(out, blocks[0])
    for block in blocks[1:]:
        np.maximum(out, block, out=out)
