"""Writes, reads and describes artifacts on disk. Does file I/O.

An artifact is the schema's header and then the tensors' data: little-endian, C order, no gaps. safetensors' own
libraries read it; here no header is ever parsed, only compared.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from consilo.aggregation.dtypes import NUMPY_DTYPES, SCHEMA_DTYPES, Array
from consilo.aggregation.errors import ArtifactMalformed, StateUnsuitable
from consilo.protocol.tensors import TensorSchema, TensorSpec

_PIECE_BYTES: Final = 1024 * 1024


def schema_of(state: Mapping[str, Array]) -> TensorSchema:
    """Describe a model's tensors.

    Args:
        state: arrays by name; little-endian dtypes of the tensor schema, any shapes.

    Raises:
        StateUnsuitable: a name, dtype or shape that a schema does not allow, or no element at all.
    """
    tensors = []
    for name in sorted(state):
        dtype = SCHEMA_DTYPES.get(state[name].dtype)
        if dtype is None:
            raise StateUnsuitable(
                f"tensor {name!r} has dtype {state[name].dtype}; allowed are {', '.join(NUMPY_DTYPES)}, little-endian"
            )
        try:
            tensors.append(TensorSpec(name=name, dtype=dtype, shape=state[name].shape))
        except ValidationError as error:
            raise StateUnsuitable(f"tensor {name!r}: {error.errors()[0]['msg']}") from error
    try:
        return TensorSchema(tensors=tuple(tensors))
    except ValidationError as error:
        raise StateUnsuitable(f"these tensors make no schema: {error.errors()[0]['msg']}") from error


def zero_state(schema: TensorSchema) -> dict[str, Array]:
    """Make zeros of the schema's names, dtypes and shapes."""
    return {tensor.name: np.zeros(tensor.shape, NUMPY_DTYPES[tensor.dtype]) for tensor in schema.tensors}


def write_artifact(path: str | Path, schema: TensorSchema, state: Mapping[str, Array]) -> str:
    """Write a model to a file, which is replaced if it exists.

    Nothing is written unless all tensors fit. The file is neither synced nor renamed into place: a caller that must
    survive a crash does both. Infinities and NaNs are written as they are (see `all_finite`).

    Args:
        path: the file.
        schema: its tensors.
        state: arrays by name, exactly those of the schema, with its dtypes and shapes; any memory layout.

    Returns:
        The file's SHA-256 in hexadecimal.

    Raises:
        StateUnsuitable: a tensor is missing or too many, or has another dtype or shape.
        OSError: the file cannot be written.
    """
    _check_state(schema, state)
    digest = hashlib.sha256(schema.header)
    with Path(path).open("wb") as file:
        file.write(schema.header)
        for tensor in schema.tensors:
            data = np.ascontiguousarray(state[tensor.name]).reshape(-1).view(np.uint8).data
            for start in range(0, tensor.nbytes, _PIECE_BYTES):
                piece = data[start : start + _PIECE_BYTES]
                digest.update(piece)
                file.write(piece)
    return digest.hexdigest()


def read_artifact(path: str | Path, schema: TensorSchema) -> dict[str, Array]:
    """Map an artifact into memory.

    Size and header are checked, the digest is not. The arrays may be modified: changes stay in this process, and only
    changed pages take memory of their own. The file must not shrink while they are in use.

    Args:
        path: the file.
        schema: its tensors.

    Returns:
        Arrays by name, with the schema's dtypes and shapes.

    Raises:
        ArtifactMalformed: the size or the header is not the schema's.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        size_bytes = file.seek(0, 2)
        if size_bytes != schema.artifact_bytes:
            raise ArtifactMalformed(f"the file has {size_bytes} bytes, the schema says {schema.artifact_bytes}")
        mapped = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_COPY)
    header_bytes = len(schema.header)
    if mapped[:header_bytes] != schema.header:
        raise ArtifactMalformed(
            "the file's header is not the schema's: other names, dtypes or shapes, or not canonical"
        )
    data = np.frombuffer(mapped, np.uint8, offset=header_bytes)
    state = {}
    for tensor, start in zip(schema.tensors, schema.offsets, strict=True):
        values = data[start : start + tensor.nbytes].view(NUMPY_DTYPES[tensor.dtype]).reshape(tensor.shape)
        # An odd number of bytes before a tensor leaves it unaligned, which other libraries do not take.
        state[tensor.name] = values if values.flags.aligned else values.copy()
    return state


def _check_state(schema: TensorSchema, state: Mapping[str, Array]) -> None:
    names = {tensor.name for tensor in schema.tensors}
    if missing := sorted(names - set(state)):
        raise StateUnsuitable(f"tensors are missing: {', '.join(missing[:5])} ({len(missing)} in all)")
    if extra := sorted(set(state) - names):
        raise StateUnsuitable(f"tensors that the schema does not have: {', '.join(extra[:5])} ({len(extra)} in all)")
    for tensor in schema.tensors:
        values = state[tensor.name]
        if values.dtype != NUMPY_DTYPES[tensor.dtype]:
            raise StateUnsuitable(f"tensor {tensor.name!r} has dtype {values.dtype}, the schema says {tensor.dtype}")
        if values.shape != tensor.shape:
            raise StateUnsuitable(f"tensor {tensor.name!r} has shape {values.shape}, the schema says {tensor.shape}")
