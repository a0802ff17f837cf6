"""An object that is being received. Does file I/O; knows nothing of HTTP, nor where the file will be."""

import contextlib
import errno
import os
from collections.abc import Callable
from types import TracebackType

from consilo.store.following import FollowingDigest, FollowingWriteBack

DIGEST_ATTRIBUTE = "user.consilo.sha256"
"""Extended attribute of an object's file: the SHA-256 of its bytes, lower-case hex."""


class IncomingObject:
    """A file of known size that no reader can see yet. A context manager; leaving it ends its threads."""

    def __init__(self, descriptor: int, size_bytes: int, make_visible: Callable[[], None], *, fsync: bool) -> None:
        """Reserves the room.

        Args:
            descriptor: Of an empty file, open for reading and writing; stays the caller's.
            size_bytes: That the object will have.
            make_visible: Gives the finished file its name.
            fsync: Whether `publish` waits for the disk.

        Raises:
            OSError: There is no room.
        """
        self.descriptor = descriptor
        self.size_bytes = size_bytes
        self._position = 0
        self._make_visible = make_visible
        _reserve(descriptor, size_bytes)
        self._digest = FollowingDigest(descriptor, size_bytes)
        self._write_back = FollowingWriteBack(descriptor, size_bytes) if fsync else None

    def reached(self, position: int) -> None:
        """Says that the bytes before `position` are in the file: digest and write-back follow."""
        self._position = position
        self._digest.reached(position)
        if self._write_back is not None:
            self._write_back.reached(position)

    def publish(self) -> str:
        """Makes the object visible and returns its SHA-256 in lower-case hex.

        Raises:
            EOFError: Not all bytes have been received.
            ObjectExists: Another writer of the same key won.
            OSError: The disk failed. The object is not visible, unless it was the very last `fsync` that failed.
        """
        if self._position != self.size_bytes:
            raise EOFError(f"{self._position} of {self.size_bytes} bytes were received")
        digest = self._digest.finish()
        with contextlib.suppress(OSError):  # no extended attributes here; `keeps_digests` says so at the start
            os.setxattr(self.descriptor, DIGEST_ATTRIBUTE, digest.encode("ascii"))
        if self._write_back is not None:
            self._write_back.finish()
        self._make_visible()
        return digest

    def __enter__(self) -> "IncomingObject":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._digest.__exit__(kind, error, trace)
        if self._write_back is not None:
            self._write_back.__exit__(kind, error, trace)


def _reserve(descriptor: int, size_bytes: int) -> None:
    # Before the first byte is received, so that a full disk is told while the sender still waits to send.
    if size_bytes > 0:
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
