"""Combines all inputs in one pass: reads them in lockstep, block by block, and writes the result on the way.

Does I/O through `Source` and `Sink` only. Memory is O(inputs x block), whatever the size of the model: two buffers
per input and two for the result.

One thread per input reads, hashes and checks; the caller's thread combines; one thread hashes and writes the result.
The order of arithmetic per element is fixed by the strategy, so neither timing nor block size shows in the bytes.

Invariant: the last block of the result is written only after every input was found right to its last byte. A sink
that was promised the artifact's size can therefore never be complete when an input was bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from consilo.aggregation.dtypes import NUMPY_DTYPES
from consilo.aggregation.errors import InputsInvalid, InputsRefused, ResultNotFinite
from consilo.aggregation.finite import all_finite
from consilo.aggregation.plan import MINIMUM_BLOCK_BYTES, Block, blocks
from consilo.aggregation.ports import Input, Result, Sink
from consilo.aggregation.reader import Bytes, InputReader
from consilo.aggregation.subnormals import check_subnormals
from consilo.aggregation.writer import OutputWriter

if TYPE_CHECKING:
    from consilo.aggregation.strategy import Strategy
    from consilo.protocol.tensors import TensorSchema

DEFAULT_BLOCK_BYTES: Final = 1024 * 1024
"""Larger blocks are not faster (they leave the cache); memory is twice this for each input and for the result."""

_PIECE_ELEMENTS: Final = 32 * 1024
"""Elements combined at once: two float64 arrays of this size fit a core's second-level cache."""


class _Held(NamedTuple):
    """The newest block of the result, not yet written."""

    buffer: Bytes
    nbytes: int


def aggregate(
    schema: TensorSchema,
    strategy: Strategy,
    inputs: Sequence[Input],
    sink: Sink | None,
    *,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
) -> Result:
    """Combine the inputs' artifacts into one and write it to `sink`.

    Returns or raises only after all threads have ended and all sources are closed; that takes as long as a source's
    `readinto` or the sink's `write` blocks. To give up from outside, let the sink or a source raise.

    Args:
        schema: the tensors of every input and of the result.
        strategy: see `consilo.aggregation.strategy.strategy`.
        inputs: in member id order (by code point), each member once, at least `strategy.minimum_inputs`.
        sink: takes the result. Its owner completes it after the return and aborts it after an exception. None: nothing
            is written, only the digest is computed.
        block_bytes: longest block, at least 8. Has no influence on the result.

    Raises:
        InputsInvalid: too few inputs, or not in order.
        InputsRefused: some inputs cannot be used; all of these are named, since all inputs were read to their end.
        ResultNotFinite: the inputs are fine, their combination overflows.
        ArithmeticUnfit: this process flushes subnormal numbers to zero.
        Exception: what the sink raised, or a source other than OSError.
    """
    _check_arguments(strategy, inputs, block_bytes)
    check_subnormals()
    readers = [InputReader(each, schema, block_bytes) for each in inputs]
    writer = OutputWriter(sink, block_bytes)
    weights = [each.weight for each in inputs]
    try:
        writer.start()
        for reader in readers:
            reader.start()
        writer.submit_header(schema.header)
        held = _combine_blocks(schema, strategy, readers, weights, writer, block_bytes)
        _end_inputs(readers)
        if held is None:
            raise ResultNotFinite("the inputs are finite, but their combination is not: an element overflows its dtype")
        writer.submit(held.buffer, held.nbytes)
        return Result(writer.finish(), schema.artifact_bytes)
    finally:
        writer.stop()
        for reader in readers:
            reader.stop()
        # All are told to stop before the first is waited for.
        writer.join()
        for reader in readers:
            reader.join()


def _check_arguments(strategy: Strategy, inputs: Sequence[Input], block_bytes: int) -> None:
    if block_bytes < MINIMUM_BLOCK_BYTES:
        raise ValueError(f"block_bytes must be at least {MINIMUM_BLOCK_BYTES}")
    if len(inputs) < strategy.minimum_inputs:
        raise InputsInvalid(f"{strategy.name} needs at least {strategy.minimum_inputs} inputs, got {len(inputs)}")
    for first, second in pairwise(inputs):
        if first.member >= second.member:
            raise InputsInvalid(
                f"inputs must be in member id order, each member once: {second.member} came after {first.member}"
            )


def _combine_blocks(
    schema: TensorSchema,
    strategy: Strategy,
    readers: Sequence[InputReader],
    weights: Sequence[int],
    writer: OutputWriter,
    block_bytes: int,
) -> _Held | None:
    """Combine and write all blocks but the last one, which is returned; None as soon as there can be no result."""
    held: _Held | None = None
    for block in blocks(schema, block_bytes):
        if held is not None:
            writer.submit(held.buffer, held.nbytes)
        buffers = _next_blocks(readers)
        if buffers is None:
            return None
        out = writer.acquire()
        if not _combine_block(strategy, block, buffers, weights, out):
            return None
        for reader, buffer in zip(readers, buffers, strict=True):
            reader.release(buffer)
        held = _Held(out, block.nbytes)
    return held


def _next_blocks(readers: Sequence[InputReader]) -> list[Bytes] | None:
    """Take the next block of every input; None if an input is bad."""
    buffers = []
    for reader in readers:
        buffer = reader.next_block()
        if buffer is None or reader.suspect:
            return None
        buffers.append(buffer)
    return buffers


def _combine_block(
    strategy: Strategy, block: Block, inputs: Sequence[Bytes], weights: Sequence[int], out: Bytes
) -> bool:
    """Combine one block, piece by piece, into `out`. False if the result is not finite."""
    for segment in block.segments:
        dtype = NUMPY_DTYPES[segment.dtype]
        views = [buffer[segment.start : segment.stop].view(dtype) for buffer in inputs]
        result = out[segment.start : segment.stop].view(dtype)
        for start in range(0, result.size, _PIECE_ELEMENTS):
            piece = slice(start, start + _PIECE_ELEMENTS)
            strategy.combine([view[piece] for view in views], weights, result[piece])
        if not all_finite(result):
            return False
    return True


def _end_inputs(readers: Sequence[InputReader]) -> None:
    """Wait until every input is read to its end; raise what is wrong with any of them."""
    _raise_errors(readers)
    for reader in readers:
        # After a complete pass this changes nothing; after a fault each goes on alone, so that a slow input does
        # not make another one's source time out.
        reader.drain()
    for reader in readers:
        reader.join()
    _raise_errors(readers)
    faults = tuple(reader.fault for reader in readers if reader.fault is not None)
    if faults:
        raise InputsRefused(faults)


def _raise_errors(readers: Sequence[InputReader]) -> None:
    for reader in readers:
        if reader.error is not None:
            raise reader.error
