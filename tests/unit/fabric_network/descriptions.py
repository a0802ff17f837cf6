"""A network's description to test with: nothing of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fabric.description import Description
from fabric.layout import Layout
from fabric.plan import Wanted, describe
from fabric.ports import PortLocks


@contextmanager
def described(directory: Path, wanted: Wanted | None = None) -> Iterator[Description]:
    """The description of a new network, its ports locked."""
    locks = PortLocks()
    try:
        yield describe(wanted or Wanted(), Layout(directory), locks)
    finally:
        locks.close()
