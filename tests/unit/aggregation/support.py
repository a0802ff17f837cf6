"""What the tests of the aggregation share: inputs from a fixed generator, a reference in plain Python, odd sources."""

from __future__ import annotations

import hashlib
import random
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from consilo.aggregation import Input, Source
from consilo.aggregation.dtypes import NUMPY_DTYPES
from consilo.protocol.tensors import DTYPE_BYTES, FLOATING, DType, TensorSchema, TensorSpec

DEADLINE_SECONDS = 20
"""How long a test waits for a condition before it fails."""

DTYPES: tuple[DType, ...] = tuple(NUMPY_DTYPES)
FLOATING_DTYPES: tuple[DType, ...] = tuple(dtype for dtype in DTYPES if dtype in FLOATING)
INTEGER_DTYPES: tuple[DType, ...] = tuple(dtype for dtype in DTYPES if dtype not in FLOATING)

EXPONENT_BITS = {"F64": 11, "F32": 8, "F16": 5, "BF16": 8}


def generator(seed: int) -> Iterator[int]:
    """Yield 32-bit integers from Knuth's 64-bit linear congruential generator, the same for ever."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 32


def hard_bits(dtype: DType, count: int, seed: int) -> list[int]:
    """Make elements' bits: any exponent, subnormal numbers, numbers near one, zeros of both signs and extremes."""
    numbers = generator(seed)
    width = 8 * DTYPE_BYTES[dtype]
    if dtype not in FLOATING:
        return [(next(numbers) << 32 | next(numbers)) % 2**width for _ in range(count)]
    exponent_bits = EXPONENT_BITS[dtype]
    mantissa_bits = width - 1 - exponent_bits
    # Exponents of float64 stay low enough for weights up to 2**53; the others cannot overflow in float64.
    highest = 2**exponent_bits - 2 - (64 if dtype == "F64" else 0)
    bias = 2 ** (exponent_bits - 1) - 1
    bits = []
    for index in range(count):
        chosen = next(numbers)
        sign = chosen & 1
        exponent = (chosen >> 1) % (highest + 1)
        mantissa = (next(numbers) << 32 | next(numbers)) % 2**mantissa_bits
        if index % 4 == 1:
            exponent = 0
        elif index % 4 == 2:
            exponent = bias + (chosen >> 1) % 4
        elif index % 4 == 3:
            exponent, mantissa = ((0, 0), (0, 1), (highest, 2**mantissa_bits - 1), (1, 0))[(chosen >> 1) % 4]
        bits.append(sign << (width - 1) | exponent << mantissa_bits | mantissa)
    return bits


def bytes_of(bits: Sequence[int], dtype: DType) -> bytes:
    return b"".join(each.to_bytes(DTYPE_BYTES[dtype], "little") for each in bits)


def schema_for(*tensors: tuple[str, DType, tuple[int, ...]]) -> TensorSchema:
    return TensorSchema(
        tensors=tuple(TensorSpec(name=name, dtype=dtype, shape=shape) for name, dtype, shape in tensors)
    )


def array_of(data: bytes, dtype: DType) -> npt.NDArray[Any]:
    return np.frombuffer(data, np.uint8).view(NUMPY_DTYPES[dtype])


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# The reference: every operation is one of Python's own floats, which are IEEE 754's binary64.


def decode(data: bytes, dtype: DType) -> list[float] | list[int]:
    size = DTYPE_BYTES[dtype]
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + piece)[0] for piece in pieces]
    code = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U8": "B"}[dtype]
    return [struct.unpack("<" + code, piece)[0] for piece in pieces]


def encode(value: float, dtype: DType) -> bytes:
    if dtype == "BF16":
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        return int((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).to_bytes(2, "little")
    code = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U8": "B"}[dtype]
    return struct.pack("<" + code, value)


def reference_fedavg(blocks: Sequence[bytes], weights: Sequence[int], dtype: DType) -> bytes:
    columns = zip(*(decode(block, dtype) for block in blocks), strict=True)
    if dtype not in FLOATING:
        return b"".join(encode(max(column), dtype) for column in columns)
    results = []
    for column in columns:
        total = column[0] * float(weights[0])
        for value, weight in zip(column[1:], weights[1:], strict=True):
            total = total + value * float(weight)
        results.append(encode(total / float(sum(weights)), dtype))
    return b"".join(results)


def reference_trimmed_mean(blocks: Sequence[bytes], trim: int, dtype: DType) -> bytes:
    results = []
    for column in zip(*(decode(block, dtype) for block in blocks), strict=True):
        # The sign orders the zeros: -0.0 == 0.0, but copysign tells them apart.
        ordered = sorted(column, key=lambda value: (value, struct.pack(">d", value)[0] < 0x80))
        kept = ordered[trim : len(ordered) - trim]
        if dtype not in FLOATING:
            results.append(encode(kept[-1], dtype))
            continue
        total = kept[0]
        for value in kept[1:]:
            total = total + value
        results.append(encode(total / float(len(kept)), dtype))
    return b"".join(results)


class StreamSource:
    """A source of given bytes, in chunks of random sizes if a seed is given; it notes its closing.

    `before_read` is called with the number of bytes read so far, and may wait or raise.
    """

    def __init__(
        self, data: bytes, seed: int | None = None, before_read: Callable[[int], object] | None = None
    ) -> None:
        self.data = data
        self.position = 0
        self.closed = threading.Event()
        self._random = None if seed is None else random.Random(seed)
        self._before_read = before_read

    def readinto(self, buffer: memoryview, /) -> int:
        assert not self.closed.is_set()
        if self._before_read is not None:
            self._before_read(self.position)
        limit = len(buffer) if self._random is None else self._random.randint(1, len(buffer))
        piece = self.data[self.position : self.position + limit]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def close(self) -> None:
        assert not self.closed.is_set(), "closed twice"
        self.closed.set()


def make_input(
    member: str, data: bytes, source: Source | None = None, weight: int = 1, sha256: str | None = None
) -> Input:
    """Make an input of an artifact's bytes; its digest is right unless another is given."""
    return Input(member, weight, sha256 or digest_of(data), lambda: source or StreamSource(data))


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("read ", "write "))]
