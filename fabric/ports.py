"""Ports of a network: none from the kernel's own range, none given twice. Opens lock files and sockets.

A port from the kernel's range for clients would not do: while its server is down, a client that connects to it again
and again can be given that very port, and then talks to itself. So that no two networks (or tests) choose the same
port, each is locked, by a file in a directory that all share; the processes of a network inherit the locks, and hold
them for as long as one of them lives.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fabric.errors import NetworkError

HOST: Final = "127.0.0.1"
_LOWEST: Final = 10_000
_TRIES: Final = 1000


class PortLocks:
    """Locked ports. `descriptors` are for the processes to inherit; `close` lets go of this process's hold."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def choose(self) -> int:
        """Lock a port that nobody listens on, and that the kernel gives to no client.

        Raises:
            NetworkError: there is none.
        """
        kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        generator = random.SystemRandom()
        for _ in range(_TRIES):
            port = generator.randrange(_LOWEST, kernel)
            descriptor = _lock(port)
            if descriptor is None:
                continue
            if not _is_free(port):
                os.close(descriptor)
                continue
            self.descriptors.append(descriptor)
            return port
        raise NetworkError(f"no free port between {_LOWEST} and {kernel}")

    def hold(self, ports: Iterable[int]) -> None:
        """Lock again those of a network's ports that none of its processes holds any more."""
        self.descriptors += [descriptor for descriptor in map(_lock, ports) if descriptor is not None]

    def close(self) -> None:
        """Let go; processes that inherited the locks keep them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def _lock(port: int) -> int | None:
    directory = Path(tempfile.gettempdir()) / "consilo-test-ports"
    directory.mkdir(exist_ok=True)
    descriptor = os.open(directory / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_free(port: int) -> bool:
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((HOST, port))
        except OSError:
            return False
    return True
