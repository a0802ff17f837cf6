"""Ports: which are chosen, and that none is given twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabric.ports import HOST, PortLocks

CHOOSE = """
import sys
from fabric.ports import PortLocks
locks = PortLocks()
locks.hold([int(sys.argv[1])])
print(len(locks.descriptors))
"""


@pytest.fixture
def locks() -> Iterator[PortLocks]:
    made = PortLocks()
    yield made
    made.close()


def can_be_locked(port: int) -> bool:
    """Whether another process gets the lock."""
    command = [sys.executable, "-c", CHOOSE, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip() == "1"


def test_a_port_is_free_and_never_one_that_the_kernel_gives_to_clients(locks: PortLocks) -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(20):
        port = locks.choose()
        assert 1024 < port < lowest
        with socket.create_server((HOST, port)):
            pass


def test_no_port_is_given_twice(locks: PortLocks) -> None:
    others = PortLocks()
    try:
        ports = [locks.choose() for _ in range(50)] + [others.choose() for _ in range(50)]
    finally:
        others.close()
    assert len(set(ports)) == 100


def test_a_port_stays_locked_until_the_last_process_that_has_the_lock_ends(locks: PortLocks) -> None:
    port = locks.choose()
    assert not can_be_locked(port)
    os.set_inheritable(locks.descriptors[0], True)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=locks.descriptors
    ) as holding:
        locks.close()
        assert not can_be_locked(port)
        holding.communicate(b"\n", timeout=60)
    assert can_be_locked(port)
    locks.hold([port])
    assert not can_be_locked(port)
