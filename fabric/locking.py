"""One command at a time changes a network. Locks a file in its directory.

That file also marks the directory as a network's, so that no command touches one that holds something else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fabric.errors import NetworkError
from fabric.layout import Layout


def is_ours(layout: Layout) -> bool:
    """Whether the directory is one of a network."""
    return layout.lock.exists()


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the lock; the directory is made if it is not there.

    Raises:
        NetworkError: another command holds it, or the directory holds other files.
    """
    directory = layout.directory
    if not is_ours(layout) and directory.exists() and any(directory.iterdir()):
        raise NetworkError(f"{directory} holds other files: a network takes a directory of its own (--directory)")
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before may have removed the file, with the network.
        free = layout.lock.exists() and os.path.samestat(os.fstat(descriptor), layout.lock.stat())
    except BlockingIOError:
        free = False
    try:
        if not free:
            raise NetworkError(f"another command is changing the network in {directory}: try again when it is done")
        yield
    finally:
        os.close(descriptor)
