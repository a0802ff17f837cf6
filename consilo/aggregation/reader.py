"""Reads, hashes and checks one input in a thread of its own, two blocks ahead at most. Does I/O through `Source`.

An input is always read to its end, whatever its bytes are. Only a right digest shows that wrong bytes are the
member's own, so the reasons have an order:

1. unavailable      the source could not be opened or failed
2. malformed        fewer or more bytes than the schema says
3. digest-mismatch  other bytes than the ledger has: the store's or the transfer's fault
4. malformed        the right bytes, but the header is not the schema's
5. not-finite       the right bytes, but an element is infinite or NaN

hashlib, numpy and sockets let other threads run while they work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from consilo.aggregation.dtypes import NUMPY_DTYPES
from consilo.aggregation.errors import Fault, FaultReason
from consilo.aggregation.finite import all_finite
from consilo.aggregation.plan import Block, blocks

if TYPE_CHECKING:
    from consilo.aggregation.ports import Input, Source
    from consilo.protocol.tensors import TensorSchema

Bytes = npt.NDArray[np.uint8]

_PIECE_BYTES: Final = 256 * 1024
"""What is read and hashed at once: small enough to stay in a core's cache in between."""

_BUFFERS: Final = 2
"""One block is combined while the next one is read."""


class _Stopped(Exception):
    """The aggregation was given up."""


class _Faulty(Exception):
    """The input cannot be used."""

    def __init__(self, reason: FaultReason, detail: str) -> None:
        super().__init__(reason)
        self.reason: FaultReason = reason
        self.detail = detail


class InputReader:
    """One input's thread and buffers.

    Attributes:
        suspect: the bytes so far show a fault; set before the block that shows it is delivered.
        fault: why the input cannot be used; final after `join`.
        error: an exception of the source other than OSError, or of the program; final after `join`.
    """

    def __init__(self, source_input: Input, schema: TensorSchema, block_bytes: int) -> None:
        self.suspect = False
        self.fault: Fault | None = None
        self.error: BaseException | None = None
        self._input = source_input
        self._schema = schema
        self._block_bytes = block_bytes
        self._stopped = False
        self._draining = False
        self._spare: Bytes | None = None
        self._free: SimpleQueue[Bytes | None] = SimpleQueue()
        self._filled: SimpleQueue[Bytes | None] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(np.empty(block_bytes, np.uint8))
        self._thread = Thread(target=self._run, name=f"read {source_input.member}", daemon=True)

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    def next_block(self) -> Bytes | None:
        """Wait for the next block's buffer (`block_bytes` long). None: the input ended early, see `fault`, `error`."""
        return self._filled.get()

    def release(self, buffer: Bytes) -> None:
        """Give a buffer back after use."""
        self._free.put(buffer)

    def drain(self) -> None:
        """Read the rest at the source's own pace and deliver no more blocks."""
        self._draining = True
        self._free.put(None)

    def stop(self) -> None:
        """Give up as soon as the source returns."""
        self._stopped = True
        self._free.put(None)

    def join(self) -> None:
        """Wait until the thread has closed the source and ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._read()
        except _Stopped:
            pass
        except _Faulty as faulty:
            self.fault = Fault(self._input.member, faulty.reason, faulty.detail)
        except OSError as error:
            self.fault = Fault(self._input.member, "unavailable", _describe(error))
        except BaseException as error:
            self.error = error
        finally:
            self._filled.put(None)

    def _read(self) -> None:
        source = self._input.open()
        try:
            self._read_from(source)
        finally:
            # All that counts has been read or has failed by now.
            with contextlib.suppress(OSError):
                source.close()

    def _read_from(self, source: Source) -> None:
        stream = _Stream(source, self._schema.artifact_bytes, self._raise_if_stopped)
        problem = self._check_header(stream)
        for block in blocks(self._schema, self._block_bytes):
            buffer = self._next_buffer()
            stream.fill(buffer.data[: block.nbytes])
            if problem is None and not _is_finite(buffer, block):
                problem = _Faulty("not-finite", "an element is infinite or not a number")
            self.suspect = problem is not None
            if not self._draining:
                self._filled.put(buffer)
        stream.expect_end()
        if stream.digest.hexdigest() != self._input.sha256:
            raise _Faulty("digest-mismatch", "the bytes read have another SHA-256 than the ledger has")
        if problem is not None:
            raise problem

    def _check_header(self, stream: _Stream) -> _Faulty | None:
        header = memoryview(self._schema.header)
        buffer = memoryview(bytearray(min(len(header), _PIECE_BYTES)))
        equal = True
        for start in range(0, len(header), len(buffer)):
            expected = header[start : start + len(buffer)]
            piece = buffer[: len(expected)]
            stream.fill(piece)
            equal = equal and bytes(piece) == bytes(expected)
        return None if equal else _Faulty("malformed", "the header is not the one of the run's tensor schema")

    def _next_buffer(self) -> Bytes:
        if not self._draining:
            buffer = self._free.get()
            self._raise_if_stopped()
            if buffer is not None:
                return buffer
        # Draining: nobody takes blocks any more, so one buffer serves for all of them.
        if self._spare is None:
            self._spare = np.empty(self._block_bytes, np.uint8)
        return self._spare

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise _Stopped


class _Stream:
    """A source, the digest of what came from it, and the size it must have."""

    def __init__(self, source: Source, size_bytes: int, raise_if_stopped: Callable[[], None]) -> None:
        self.digest = hashlib.sha256()
        self._source = source
        self._size_bytes = size_bytes
        self._raise_if_stopped = raise_if_stopped
        self._read_bytes = 0

    def fill(self, buffer: memoryview) -> None:
        filled = 0
        while filled < len(buffer):
            self._raise_if_stopped()
            piece = buffer[filled : filled + _PIECE_BYTES]
            count = self._source.readinto(piece)
            if not count:
                raise _Faulty("malformed", f"it ended after {self._read_bytes} of {self._size_bytes} bytes")
            self.digest.update(piece[:count])
            filled += count
            self._read_bytes += count

    def expect_end(self) -> None:
        self._raise_if_stopped()
        if self._source.readinto(memoryview(bytearray(1))):
            raise _Faulty("malformed", f"it has more than {self._size_bytes} bytes")


def _is_finite(buffer: Bytes, block: Block) -> bool:
    return all(
        all_finite(buffer[segment.start : segment.stop].view(NUMPY_DTYPES[segment.dtype])) for segment in block.segments
    )


def _describe(error: OSError) -> str:
    # Not str(error): it may hold a path or a signed URL.
    name = type(error).__name__
    return f"{name}: {os.strerror(error.errno)}" if isinstance(error.errno, int) else name
