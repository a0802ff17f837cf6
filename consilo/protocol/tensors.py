"""The tensor schema of a run, and the artifact bytes that follow from it. Pure; no I/O.

An artifact is a safetensors file. Its header is a function of the schema alone: names sorted, offsets without
gaps, no metadata, padded with spaces to a multiple of 8 bytes. So every artifact of a run starts with exactly the
same bytes and has exactly the same size, and nobody ever has to parse a header that somebody else wrote.
"""

from __future__ import annotations

import itertools
import json
import math
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from consilo.protocol.model import Record

DType = Literal["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8"]

DTYPE_BYTES: Final[dict[str, int]] = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
}
"""Bytes of one element by dtype, in safetensors' spelling. Other dtypes cannot be aggregated and are refused."""

FLOATING: Final = frozenset({"F64", "F32", "F16", "BF16"})
"""Dtypes that are averaged. The others are integers, for which the element-wise maximum is taken."""

MAX_TENSORS: Final = 100_000
MAX_DIMENSIONS: Final = 16
MAX_ARTIFACT_BYTES: Final = 2**44

TensorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-/:]{0,254}$")]


class TensorSpec(Record):
    """Name, dtype and shape of one tensor. An empty shape is a scalar: one element."""

    name: TensorName
    dtype: DType
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**40)], ...], Field(max_length=MAX_DIMENSIONS)]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor's data."""
        return self.elements * DTYPE_BYTES[self.dtype]


class TensorSchema(Record):
    """The tensors of a model: names sorted by code point, unique; at least one element in all."""

    tensors: Annotated[tuple[TensorSpec, ...], Field(min_length=1, max_length=MAX_TENSORS)]

    @model_validator(mode="after")
    def _check(self) -> TensorSchema:
        names = [tensor.name for tensor in self.tensors]
        if any(first >= second for first, second in itertools.pairwise(names)):
            raise ValueError("tensors must be sorted by name, each name once")
        if "__metadata__" in names:  # in a safetensors header this name is not a tensor's
            raise ValueError("no tensor may be named __metadata__")
        if self.data_bytes == 0:
            raise ValueError("the tensors hold no element")
        if self.artifact_bytes > MAX_ARTIFACT_BYTES:
            raise ValueError(f"an artifact would have more than {MAX_ARTIFACT_BYTES} bytes")
        return self

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Start of each tensor's data, in bytes from the end of the header."""
        sizes = (tensor.nbytes for tensor in self.tensors)
        return tuple(itertools.accumulate(sizes, initial=0))[:-1]

    @cached_property
    def data_bytes(self) -> int:
        """Bytes of all tensors' data."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @cached_property
    def header(self) -> bytes:
        """The first bytes of every artifact: length (8 bytes, little-endian) and the padded JSON of the header."""
        entries = {
            tensor.name: {
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "data_offsets": [start, start + tensor.nbytes],
            }
            for tensor, start in zip(self.tensors, self.offsets, strict=True)
        }
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=True).encode("ascii")
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    @cached_property
    def artifact_bytes(self) -> int:
        """Size of every artifact of a run with this schema, in bytes."""
        return len(self.header) + self.data_bytes
