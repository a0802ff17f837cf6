"""Moves bodies between a socket and a file without holding them in memory. Does network and file I/O.

Receiving splices: socket -> pipe -> file inside the kernel, 0.2 s of processor time per GB where `recv_into` and
`write` take 0.5 s. Sending is `sendfile`. Both give up on a peer that stalls or is too slow. Linux only.
"""

import errno
import fcntl
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PIPE_BYTES = 1024 * 1024
_REPORT_BYTES = 1024 * 1024
_COPY_BYTES = 256 * 1024
_SEND_BYTES = 8 * 1024 * 1024


class ClientGone(Exception):
    """The peer closed the connection, or stalled, or was too slow: there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a peer must keep up.

    Attributes:
        stall_timeout_seconds: Longest time without a byte.
        minimum_bytes_per_second: Over the whole body, after one stall timeout of grace.
    """

    stall_timeout_seconds: float
    minimum_bytes_per_second: int

    def deadline(self, size_bytes: int) -> float:
        """When a body of this size that starts now must be through, on the monotonic clock."""
        return time.monotonic() + self.stall_timeout_seconds + size_bytes / self.minimum_bytes_per_second


def wait_for(connection: socket.socket, event: int, timeout_seconds: float) -> None:
    """Waits until the socket can be read (`select.POLLIN`) or written (`select.POLLOUT`).

    Raises:
        ClientGone: It could not within the time.
    """
    poller = select.poll()
    poller.register(connection, event)
    if timeout_seconds <= 0 or not poller.poll(timeout_seconds * 1000):
        raise ClientGone("the client stalled or was too slow")


def receive_body(
    connection: socket.socket,
    start: bytes,
    descriptor: int,
    size_bytes: int,
    pace: Pace,
    reached: Callable[[int], None],
) -> None:
    """Receives exactly `size_bytes` bytes into a file, from its beginning.

    Args:
        connection: Non-blocking.
        start: The first bytes of the body, if some came with the head; no more than `size_bytes`.
        descriptor: Of the file, at position 0.
        size_bytes: Of the body.
        pace: That the client must keep up.
        reached: Called with the position about every MB and at the end.

    Raises:
        ClientGone: The body did not come.
        OSError: The file could not be written (`ENOSPC` and others).
    """
    deadline = pace.deadline(size_bytes)
    _write_all(descriptor, start)
    position = told = len(start)
    with _pipe() as (pipe_out, pipe_in):
        while position < size_bytes:
            count = _splice_in(connection, pipe_in, min(_PIPE_BYTES, size_bytes - position))
            if count is None:
                wait_for(connection, select.POLLIN, min(pace.stall_timeout_seconds, deadline - time.monotonic()))
                continue
            if count == 0:
                raise ClientGone("the client closed the connection before the end of the body")
            _drain(pipe_out, descriptor, count)
            position += count
            if position - told >= _REPORT_BYTES:
                reached(position)
                told = position
            if time.monotonic() > deadline:
                raise ClientGone("the client was too slow")
    reached(position)


def send_file(connection: socket.socket, descriptor: int, size_bytes: int, pace: Pace) -> int:
    """Sends a file's first `size_bytes` bytes to a non-blocking socket and returns how many.

    Raises:
        ClientGone: The client went, or did not take them fast enough.
        OSError: The file could not be read.
    """
    deadline = pace.deadline(size_bytes)
    position = 0
    while position < size_bytes:
        try:
            count = os.sendfile(connection.fileno(), descriptor, position, min(_SEND_BYTES, size_bytes - position))
        except BlockingIOError:
            wait_for(connection, select.POLLOUT, min(pace.stall_timeout_seconds, deadline - time.monotonic()))
            continue
        except (ConnectionError, TimeoutError):
            raise ClientGone("the client closed the connection") from None
        if count == 0:
            raise EOFError("an object's file became shorter")
        position += count
        if time.monotonic() > deadline:
            raise ClientGone("the client was too slow")
    return position


def _splice_in(connection: socket.socket, pipe_in: int, count: int) -> int | None:
    # How many bytes came; 0 at the end of the stream; None when there are none yet.
    try:
        return os.splice(connection.fileno(), pipe_in, count, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
    except BlockingIOError:
        return None
    except (ConnectionError, TimeoutError):
        raise ClientGone("the client closed the connection before the end of the body") from None


def _drain(pipe_out: int, descriptor: int, count: int) -> None:
    while count > 0:
        try:
            moved = os.splice(pipe_out, descriptor, count, flags=os.SPLICE_F_MOVE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # A file system that cannot splice: copy what is in the pipe.
            moved = _write_all(descriptor, os.read(pipe_out, min(count, _COPY_BYTES)))
        count -= moved


def _write_all(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    pipe_out, pipe_in = os.pipe2(os.O_CLOEXEC)
    try:
        with suppress(OSError):  # beyond an unprivileged user's share of pipe memory: 64 kB it is, and slower
            fcntl.fcntl(pipe_in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        yield pipe_out, pipe_in
    finally:
        os.close(pipe_out)
        os.close(pipe_in)
