"""The numpy dtype of each dtype of the tensor schema. Pure; no I/O.

Artifacts are little-endian. ml-dtypes has bfloat16 in the machine's own order only, so big-endian machines are not
supported.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

from consilo.protocol.tensors import DType

Array = npt.NDArray[Any]
"""An array of any of the dtypes below."""

BFLOAT16: Final[np.dtype[Any]] = np.dtype(ml_dtypes.bfloat16)

NUMPY_DTYPES: Final[Mapping[DType, np.dtype[Any]]] = MappingProxyType(
    {
        "F64": np.dtype("<f8"),
        "F32": np.dtype("<f4"),
        "F16": np.dtype("<f2"),
        "BF16": BFLOAT16,
        "I64": np.dtype("<i8"),
        "I32": np.dtype("<i4"),
        "I16": np.dtype("<i2"),
        "I8": np.dtype("i1"),
        "U8": np.dtype("u1"),
    }
)
"""numpy's dtype by the schema's."""

SCHEMA_DTYPES: Final[Mapping[np.dtype[Any], DType]] = MappingProxyType({v: k for k, v in NUMPY_DTYPES.items()})
"""The schema's dtype by numpy's."""


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Tell integers, which have no mean, from floating-point numbers (bfloat16 is one, whatever kind numpy reports)."""
    return dtype.kind in "iu"
