"""The bytes of an object on their way, from and to a store. Does network I/O; made by `transfers.py` only."""

import time
from http.client import HTTPResponse
from types import TracebackType

from consilo.api.pace import Pace
from consilo.api.transfer_errors import SizeMismatch, TransferUnavailable
from consilo.api.transfer_exchange import Exchange
from consilo.store.local import DIGEST_HEADER

_BLOCK_BYTES = 1024 * 1024
_SENDFILE_BYTES = 8 * 1024 * 1024


class Download:
    """The bytes of one object, as they come. A context manager; use by one thread at a time."""

    def __init__(
        self, exchange: Exchange, response: HTTPResponse, expected_bytes: int, pace: Pace | None = None
    ) -> None:
        """Made by `open_download`."""
        self._exchange = exchange
        self._stream = response.fp
        self._left = expected_bytes
        self._pace = pace
        self._received = 0
        self._waited_seconds = 0.0

    def readinto(self, buffer: memoryview) -> int:
        """Fills `buffer` and returns how many bytes it got: fewer only at the end, 0 after it.

        Raises:
            TransferUnavailable: The transfer was cut off, stalled, or took longer than allowed.
        """
        wanted = min(len(buffer), self._left)
        got = 0
        with self._exchange.explained():
            while got < wanted:
                started = time.monotonic()
                count = self._stream.readinto1(buffer[got:wanted])
                if count == 0:
                    raise self._exchange.was_cut()
                got += count
                self._received += count
                # Only the time in which the store was waited for: readers of several stores wait for the slowest.
                self._waited_seconds += time.monotonic() - started
                if self._pace is not None and not self._pace.allows(self._received, self._waited_seconds):
                    raise TransferUnavailable(f"slower than it may be: {self._exchange.name}")
        self._left -= got
        return got

    def close(self) -> None:
        """Ends the transfer, finished or not."""
        self._exchange.close()

    def __enter__(self) -> "Download":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Upload:
    """An object on its way to a store. A context manager: leaving it before `finish` aborts. One thread at a time."""

    def __init__(self, exchange: Exchange, size_bytes: int) -> None:
        """Made by `open_upload`."""
        self._exchange = exchange
        self._left = size_bytes

    def write(self, data: memoryview) -> None:
        """Sends the next bytes, all of them.

        Raises:
            SizeMismatch: They are more than was announced; none was sent.
            TransferError: The store refused, or cannot be reached any more.
        """
        if len(data) > self._left:
            raise SizeMismatch(f"more bytes than the upload was opened for: {self._exchange.name}")
        if not data:  # the store may have all it waits for, and have answered
            return
        with self._exchange.sending() as connection:
            connection.send(data)
        self._left -= len(data)

    def write_file(self, descriptor: int) -> None:
        """Sends all remaining bytes from an open file, from its position: in the kernel where TLS does not forbid.

        Raises:
            SizeMismatch: The file ends too early.
            TransferError: As `write`.
        """
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            while self._left > 0:
                if self._exchange.is_encrypted:
                    block = file.read(min(_BLOCK_BYTES, self._left))
                    self.write(memoryview(block))
                    sent = len(block)
                else:
                    with self._exchange.sending() as connection:
                        sent = connection.sock.sendfile(file, file.tell(), min(_SENDFILE_BYTES, self._left))
                    self._left -= sent
                if sent == 0:
                    raise SizeMismatch(f"the file ends {self._left} bytes too early: {self._exchange.name}")

    def finish(self) -> str | None:
        """Waits until the store has the object, and returns the SHA-256 it tells, if it does (not a proof).

        Raises:
            SizeMismatch: Fewer bytes were written than announced; the store keeps nothing.
            TransferError: The store refused or did not answer. After `TransferUnavailable` it may have the object.
        """
        try:
            if self._left:
                raise SizeMismatch(f"{self._left} bytes were not written: {self._exchange.name}")
            response = self._exchange.response()
            digest = response.headers.get(DIGEST_HEADER)
            return None if digest is None else digest.lower()
        finally:
            self._exchange.close()

    def abort(self) -> None:
        """Gives up: the store keeps nothing of an upload that is not finished. No effect after `finish`.

        The connection is reset, not closed: there are servers that take a close for the end of the object.
        """
        self._exchange.reset()

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
