"""Hashes the result and writes it to the sink, in a thread of its own. Does I/O through `Sink`."""

from __future__ import annotations

import hashlib
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from consilo.aggregation.ports import Sink

Bytes = npt.NDArray[np.uint8]

_BUFFERS: Final = 2
"""One block is combined while the one before it is hashed and written."""


class OutputWriter:
    """The thread and buffers of the result. A sink of None: only the digest is computed."""

    def __init__(self, sink: Sink | None, block_bytes: int) -> None:
        self._sink = sink
        self._digest = hashlib.sha256()
        self._error: BaseException | None = None
        self._stopped = False
        self._pending: SimpleQueue[tuple[memoryview, Bytes | None] | None] = SimpleQueue()
        self._free: SimpleQueue[Bytes | None] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(np.empty(block_bytes, np.uint8))
        self._thread = Thread(target=self._run, name="write result", daemon=True)

    def start(self) -> None:
        """Start to wait for blocks."""
        self._thread.start()

    def acquire(self) -> Bytes:
        """Wait for a buffer (`block_bytes` long) to put the next block into. Raises what the sink raised."""
        buffer = self._free.get()
        if buffer is None:
            self._raise()
        assert buffer is not None  # noqa: S101 - None is put only after an error
        return buffer

    def submit_header(self, header: bytes) -> None:
        """Write the header, before any block."""
        self._pending.put((memoryview(header), None))

    def submit(self, buffer: Bytes, nbytes: int) -> None:
        """Write the first `nbytes` of a buffer that `acquire` gave."""
        self._pending.put((buffer.data[:nbytes], buffer))

    def finish(self) -> str:
        """Wait until everything is written and return its SHA-256 in hexadecimal. Raises what the sink raised."""
        self._pending.put(None)
        self._thread.join()
        self._raise()
        return self._digest.hexdigest()

    def stop(self) -> None:
        """Give up as soon as the sink returns."""
        self._stopped = True
        self._pending.put(None)

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (item := self._pending.get()) is not None and not self._stopped:
                data, buffer = item
                self._digest.update(data)
                if self._sink is not None:
                    self._sink.write(data)
                if buffer is not None:
                    self._free.put(buffer)
        except BaseException as error:
            self._error = error
            self._free.put(None)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
