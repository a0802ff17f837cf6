"""A Fabric network for tests: its programs found, or the tests skipped so that nobody overlooks it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from fabric.binaries import Binaries, find_binaries
from fabric.errors import BinariesMissing
from fabric.network import Network
from fabric.ports import HOST
from fabric.processes import noted, runs

REQUIRED: Final = "CONSILO_REQUIRE_FABRIC"
"""Environment variable: with `1`, tests that need Fabric fail where it is not, instead of being skipped."""

COMMAND_SECONDS: Final = 100.0


def need_fabric() -> Binaries:
    """Fabric's programs; skips the test when they are not there, or fails it where they are required."""
    try:
        return find_binaries()
    except BinariesMissing as missing:
        untested = f"NOT TESTED ON FABRIC: {missing}"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{untested} ({REQUIRED}=1)")
        pytest.skip(untested)


def fabric(command: str, directory: Path, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `python -m fabric`; it must end with this exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "fabric", command, "--directory", str(directory), *options],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def running_network(directory: Path, *options: str) -> Iterator[Network]:
    """A network that runs until the block ends, and of which nothing is left then.

    Args:
        directory: of its files.
        options: of `python -m fabric up`.
    """
    need_fabric()
    try:
        fabric("up", directory, *options)
        yield Network.load(directory)
    finally:
        fabric("down", directory, "--remove")


def living(directory: Path) -> list[str]:
    """Names of the processes that were ever started for a network and have not ended."""
    return [note.stem for note in (directory / "processes").glob("*.json") if runs(noted(note))]


def free_ports(network: Network) -> list[int]:
    """The network's ports that nobody listens on."""

    def is_free(port: int) -> bool:
        with socket.socket() as trying:
            return trying.connect_ex((HOST, port)) != 0

    return [port for port in network.description.ports() if is_free(port)]
