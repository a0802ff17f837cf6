"""A store as bad as the test wants it: a proxy in front of the real one, told for each request how to treat it.

    async with misbehaving(store_port, script) as proxy:
        ...  # the system reaches its store at proxy.url

One request on each connection; bodies have a `Content-Length`, as everything that the store speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from services.store.wire import MAX_HEAD_BYTES

_CHUNK_BYTES: Final = 16 * 1024
_SLOW_CHUNKS_PER_SECOND: Final = 20
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_LINGER_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Asked:
    """A request that came.

    Attributes:
        method: as sent.
        key: of the object, `<run>/<organisation>/<member>/<unique>`.
        count: how many requests with this method for this key came so far, this one included; of uploads, each of
            which has a key of its own, how many of this member in this run.
    """

    method: str
    key: str
    count: int


@dataclass(frozen=True)
class Treatment:
    """What is done to a request; without anything, it is passed on.

    Attributes:
        bytes_per_second: at most so many, both ways; None: as fast as it goes.
        cut_request_at: share of the request's body after which the connection is dropped, unanswered.
        cut_response_at: share of the answer's body after which the connection is dropped.
        flip: one bit of the answer's body is another one.
        answer: bytes that are sent instead of asking the store.
        hold: the answer is held back until this is set, though the store has done what was asked.
    """

    bytes_per_second: int | None = None
    cut_request_at: float | None = None
    cut_response_at: float | None = None
    flip: bool = False
    answer: bytes | None = None
    hold: asyncio.Event | None = None


HONEST: Final = Treatment()

Script = Callable[[Asked], Treatment]


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: where it listens.
        script: says how to treat each request; may be replaced at any time.
        treated: how many requests were treated otherwise than honestly, by method.
        held: set whenever an answer is held back.
    """

    url: str
    script: Script
    store_port: int
    treated: Counter[str] = field(default_factory=Counter)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target = head.split(b" ", 2)[:2]
            key = target.decode("ascii").partition("?")[0].removeprefix("/objects/")
            counted = method.decode(), key.rpartition("/")[0] if method == b"PUT" else key
            self._asked[counted] += 1
            asked = Asked(method.decode(), key, self._asked[counted])
            treatment = self.script(asked)
            if treatment != HONEST:
                self.treated[asked.method] += 1
            if treatment.answer is not None:
                writer.write(treatment.answer)
                await writer.drain()
                writer.write_eof()
                with contextlib.suppress(TimeoutError):  # closing with unread bytes would take the answer back
                    async with asyncio.timeout(_LINGER_SECONDS):
                        while await reader.read(_CHUNK_BYTES):
                            pass
            else:
                await self._pass_on(treatment, head, reader, writer)
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _pass_on(
        self, treatment: Treatment, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        from_store, to_store = await asyncio.open_connection("127.0.0.1", self.store_port, limit=MAX_HEAD_BYTES * 2)
        try:
            to_store.write(head)
            if not await _copy(reader, to_store, _length(head), treatment.bytes_per_second, treatment.cut_request_at):
                return
            answer = await from_store.readuntil(b"\r\n\r\n")
            if treatment.hold is not None:
                self.held.set()
                await treatment.hold.wait()
            writer.write(answer)
            await _copy(
                from_store,
                writer,
                _length(answer) if not head.startswith(b"HEAD") else 0,
                treatment.bytes_per_second,
                treatment.cut_response_at,
                flip=treatment.flip,
            )
        finally:
            to_store.transport.abort()


async def _copy(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    size_bytes: int,
    bytes_per_second: int | None,
    cut_at: float | None,
    *,
    flip: bool = False,
) -> bool:
    """Copy a body; False when it was cut."""
    end = size_bytes if cut_at is None else int(size_bytes * cut_at)
    chunk = _CHUNK_BYTES if bytes_per_second is None else max(1, bytes_per_second // _SLOW_CHUNKS_PER_SECOND)
    position = 0
    while position < end:
        data = await source.readexactly(min(chunk, end - position))
        position += len(data)
        if flip and position == end:
            data = data[:-1] + bytes([data[-1] ^ 1])
        sink.write(data)
        await sink.drain()
        if bytes_per_second is not None:
            await asyncio.sleep(1 / _SLOW_CHUNKS_PER_SECOND)
    await sink.drain()
    if cut_at is not None:
        sink.transport.abort()
    return cut_at is None


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return 0 if found is None else int(found[1])


@asynccontextmanager
async def misbehaving(port: int, store_port: int, script: Script) -> AsyncIterator[Proxy]:
    """A proxy on `port` to the store on `store_port`."""
    proxy = Proxy(f"http://127.0.0.1:{port}", script, store_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port, limit=MAX_HEAD_BYTES * 2)
    try:
        yield proxy
    finally:
        server.close()
