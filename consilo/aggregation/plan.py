"""How an artifact's data are cut into blocks. Pure; no I/O.

Blocks follow each other without gaps, are no longer than a limit, and never split an element. Strategies work
element by element, so neighbouring tensors of the same dtype are combined as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final, NamedTuple

from consilo.protocol.tensors import DTYPE_BYTES, DType, TensorSchema

MINIMUM_BLOCK_BYTES: Final = 8
"""The largest element."""


class Segment(NamedTuple):
    """Elements of one dtype: bytes `start` to `stop` of a block."""

    dtype: DType
    start: int
    stop: int


class Block(NamedTuple):
    """A stretch of an artifact's data: its size in bytes and the segments that fill it."""

    nbytes: int
    segments: tuple[Segment, ...]


def blocks(schema: TensorSchema, block_bytes: int) -> Iterator[Block]:
    """Cut the data of an artifact (what follows the header) into blocks.

    Args:
        schema: the tensors.
        block_bytes: longest block, at least `MINIMUM_BLOCK_BYTES`.

    Yields:
        At least one block; none is empty.
    """
    segments: list[Segment] = []
    filled = 0
    for dtype, tensors in groupby(schema.tensors, key=lambda tensor: tensor.dtype):
        element_bytes = DTYPE_BYTES[dtype]
        left = sum(tensor.nbytes for tensor in tensors)
        while left:
            room = (block_bytes - filled) // element_bytes * element_bytes
            if room == 0:
                yield Block(filled, tuple(segments))
                segments, filled = [], 0
                continue
            taken = min(room, left)
            segments.append(Segment(dtype, filled, filled + taken))
            filled += taken
            left -= taken
    if filled:
        yield Block(filled, tuple(segments))
