"""Work that follows a file while its bytes arrive or leave: its digest, and its write-back to the disk.

Both run in a thread of their own, because `hashlib` and `fdatasync` release the interpreter's lock: a transfer then
takes as long as the slower of the two, not as long as both. They read what is in the file, not what was meant to be
written to it. Short files are followed without a thread. Does file I/O, no network.
"""

import hashlib
import os
import queue
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["FollowingDigest", "FollowingWriteBack"]

_BLOCK_BYTES = 256 * 1024  # fits a core's cache, so that hashing does not wait for memory
_THREAD_FROM_BYTES = 4 * 1024 * 1024  # below, starting a thread costs more than it saves


class _Follower:
    """Calls `step(position)` in a thread each time the file has reached a further position."""

    def __init__(self, step: Callable[[int], None], name: str) -> None:
        self._step = step
        self._positions: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def reached(self, position: int) -> None:
        self._positions.put(position)

    def finish(self) -> None:
        """Waits until every position has been worked off; raises what the thread raised."""
        self._positions.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Ends the thread at its next block; after it the file's descriptor may be closed."""
        self._stopped = True
        self._positions.put(None)
        self._thread.join()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def _run(self) -> None:
        while (position := self._positions.get()) is not None and not self._stopped:
            try:
                self._step(position)
            except Exception as error:  # kept for the thread that calls finish()
                self._error = error
                return


class FollowingDigest:
    """The SHA-256 of a file's first `size_bytes` bytes, computed while they arrive.

    A context manager; leaving it ends the thread. The descriptor stays the caller's and must be open for reading until
    then. Memory: one block of 256 kB.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        """Takes an open file and how many bytes it is going to have."""
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._block = memoryview(bytearray(min(_BLOCK_BYTES, max(size_bytes, 1))))
        threaded = size_bytes >= _THREAD_FROM_BYTES
        self._follower = _Follower(self._hash_up_to, "digest") if threaded else None

    def reached(self, position: int) -> None:
        """Says that the file's bytes before `position` are there."""
        if self._follower is not None:
            self._follower.reached(position)

    def finish(self) -> str:
        """Waits for the digest of all bytes, in lower-case hex.

        Raises:
            OSError: The file could not be read.
            EOFError: The file is shorter than was said.
        """
        if self._follower is not None:
            self._follower.finish()
        self._hash_up_to(self._size_bytes)
        return self._digest.hexdigest()

    def __enter__(self) -> "FollowingDigest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._follower is not None:
            self._follower.stop()

    def _hash_up_to(self, position: int) -> None:
        while self._hashed < position and not (self._follower is not None and self._follower.stopped):
            block = self._block[: min(len(self._block), position - self._hashed)]
            count = os.preadv(self._descriptor, [block], self._hashed)
            if count == 0:
                raise EOFError("the file is shorter than it was said to be")
            self._digest.update(block[:count])
            self._hashed += count


class FollowingWriteBack:
    """Brings a file to the disk while it is still being written, so that the last `fsync` finds little left to do.

    A context manager like `FollowingDigest`.
    """

    def __init__(self, descriptor: int, size_bytes: int, *, every_bytes: int = 64 * 1024 * 1024) -> None:
        """Takes an open file and its size to be; syncs after every `every_bytes` bytes."""
        self._descriptor = descriptor
        self._every_bytes = every_bytes
        self._asked = 0
        threaded = size_bytes > every_bytes
        self._follower = _Follower(self._sync, "write-back") if threaded else None

    def reached(self, position: int) -> None:
        """Says that the file's bytes before `position` are written."""
        if self._follower is not None and position - self._asked >= self._every_bytes:
            self._asked = position
            self._follower.reached(position)

    def finish(self) -> None:
        """Waits until all bytes and the file's metadata are on the disk.

        Raises:
            OSError: They could not be brought there; what the file holds is then not known.
        """
        if self._follower is not None:
            self._follower.finish()
        os.fsync(self._descriptor)

    def __enter__(self) -> "FollowingWriteBack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._follower is not None:
            self._follower.stop()

    def _sync(self, position: int) -> None:
        os.fdatasync(self._descriptor)
