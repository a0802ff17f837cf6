"""The floor of a round: the same bytes moved by plain sockets and files, without digests, ledger or processes.

With n silos a round moves the model: n files written (the updates), n uploads, n downloads by the aggregator,
one upload of the global, n downloads of it by silos; and a verifier's n downloads, when there is one.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

_BLOCK = 1 << 20


def floor_seconds(size_bytes: int, silos: int, *, verifier: bool) -> float:
    """Seconds to move a round's bytes, phase by phase; the transfers of a phase go side by side.

    Args:
        size_bytes: of the model.
        silos: number of silos.
        verifier: whether a verifier reads the inputs too (beside the silos' downloads of the next global).
    """
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(4 * silos + 4) as pool:
        directory = Path(name)
        source = directory / "source"
        source.write_bytes(os.urandom(_BLOCK) * (size_bytes // _BLOCK) + bytes(size_bytes % _BLOCK))
        content = source.read_bytes()

        def side_by_side(calls: list[Callable[[], None]]) -> None:
            for done in [pool.submit(call) for call in calls]:
                done.result()

        def write(index: int) -> Callable[[], None]:
            return lambda: _write(directory / f"update-{index}", content)

        def move(target: Path | None) -> Callable[[], None]:
            return lambda: _move(source, target, size_bytes)

        started = perf_counter()
        side_by_side([write(index) for index in range(silos)])
        side_by_side([move(directory / f"store-{index}") for index in range(silos)])
        side_by_side([move(None) for _ in range(silos)])
        side_by_side([move(directory / "global")])
        readers = [move(directory / f"silo-{index}") for index in range(silos)]
        side_by_side(readers + [move(None) for _ in range(silos if verifier else 0)])
        return perf_counter() - started


def _write(path: Path, content: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(content)


def _move(source: Path, target: Path | None, size_bytes: int) -> None:
    """From a file through a loopback connection into a file, or into memory that is thrown away."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            connection, _ = server.accept()
            with connection, source.open("rb") as file:
                position = 0
                while position < size_bytes:
                    position += os.sendfile(connection.fileno(), file.fileno(), position, size_bytes - position)

        sender = threading.Thread(target=send)
        sender.start()
        buffer = memoryview(bytearray(_BLOCK))
        output = None if target is None else target.open("wb", buffering=0)
        with socket.create_connection(server.getsockname()) as connection:
            while count := connection.recv_into(buffer):
                if output is not None:
                    output.write(buffer[:count])
        if output is not None:
            output.close()
        sender.join()
