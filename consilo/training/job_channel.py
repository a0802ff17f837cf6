"""A Job's way to its silo: one HTTP request after the other, each on a connection of its own. Blocks; network I/O.

The token goes to the one URL that the Job was given: no redirect is followed and no proxy used. No exception holds it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from consilo.protocol.refusals import InvalidInput
from consilo.training.job_messages import MAX_ORDER_BYTES, JobOrder
from consilo.training.messages import Reply, line_of

_BLOCK_BYTES: Final = 1024 * 1024
_ANSWER_BYTES: Final = 64 * 1024
_PASSING: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.UNPROCESSABLE_ENTITY,  # damaged on the way: sent again
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class ChannelError(Exception):
    """Root of what goes wrong between a Job and its silo. The message has no secrets."""


class SiloUnreachable(ChannelError):
    """The silo does not answer, or not now; later it may."""


class JobUnwanted(ChannelError):
    """The silo does not want this Job (any more)."""


class SiloRefuses(ChannelError):
    """The silo refuses the request for good, or its answer is none."""


class Channel:
    """Where a Job gets its order and its model, and where it gives what came of it. For one call at a time.

    Args:
        url: of the Job at its silo, of HTTP.
        token: that shows that it is this Job.
        timeout_seconds: without a byte from the silo, or without it taking one.

    Raises:
        ValueError: the URL is none of http.
    """

    def __init__(self, url: str, token: str, *, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError("the URL of the Job at its silo must be http://HOST:PORT/PATH")
        self._host, self._port = parts.hostname, parts.port or 80
        self._path = parts.path.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"}
        self._timeout_seconds = timeout_seconds

    def order(self) -> JobOrder:
        """What is to be done.

        Raises:
            ChannelError: it did not come.
        """
        with self._answer("GET", "order") as response:
            data = response.read(MAX_ORDER_BYTES + 1)
        if len(data) > MAX_ORDER_BYTES:
            raise SiloRefuses(f"the silo's order is longer than {MAX_ORDER_BYTES} bytes")
        try:
            return JobOrder.decode(data)
        except InvalidInput as error:
            raise SiloRefuses(f"the silo's order is not understood; is its version another one? {error}") from None

    def fetch_base(self, order: JobOrder, target: Path) -> None:
        """Fetch the model to start from; the file is there whole or not at all.

        Raises:
            ChannelError: it did not come, or not as the order says.
            OSError: it cannot be written.
        """
        size = order.tensors.artifact_bytes
        partial = target.with_name(f"{target.name}.partial")
        found = hashlib.sha256()
        with self._answer("GET", "base") as response, partial.open("wb") as file:
            left = size
            while block := response.read(min(_BLOCK_BYTES, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                found.update(block)
                file.write(block)
        if left or found.hexdigest() != order.base:
            partial.unlink()
            raise SiloUnreachable("the model to start from did not come whole")
        partial.replace(target)

    def give_update(self, file: Path, sha256: str) -> None:
        """Give the trained model. To give it again is no harm.

        Raises:
            ChannelError: it could not be given.
            OSError: it cannot be read.
        """
        size = file.stat().st_size
        with file.open("rb") as stream, self._answer("PUT", f"update/{sha256}", stream, size):
            pass

    def tell(self, reply: Reply) -> None:
        """Tell the silo how it goes, or what came of it. To tell a result again is no harm.

        Raises:
            ChannelError: it could not be told.
        """
        line = line_of(reply)
        with self._answer("POST", "replies", line, len(line)):
            pass

    @contextmanager
    def _answer(
        self, method: str, what: str, body: object | None = None, size: int | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; the silo's answer, which is a success."""
        headers = dict(self._headers)
        if size is not None:
            headers["content-length"] = str(size)
        connection = http.client.HTTPConnection(
            self._host, self._port, timeout=self._timeout_seconds, blocksize=_BLOCK_BYTES
        )
        try:
            connection.request(method, f"{self._path}/{what}", body, headers)  # type: ignore[arg-type]
            response = connection.getresponse()
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise _failure(response.status, response.read(_ANSWER_BYTES))
            yield response
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:  # a file's, not the connection's
                raise
            raise SiloUnreachable(f"the silo does not answer: {_say(error)}") from None
        finally:
            connection.close()


def _failure(status: int, answer: bytes) -> ChannelError:
    said = answer[:300].decode("utf-8", "backslashreplace").strip()
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.GONE}:
        return JobUnwanted("the silo does not want this Job any more")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return SiloUnreachable(f"the silo answers {status}: {said}")
    return SiloRefuses(f"the silo answers {status}: {said}")


def _say(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return type(error).__name__ if not str(error) else str(error)[:200]
