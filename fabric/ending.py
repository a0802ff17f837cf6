"""The end of a network: of its processes, and of its files when they are not wanted any more.

Ends what the network's own notes are of, and removes what its own lock file marks as a network's; nothing else.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fabric.control import DEFAULT_OPTIONS, Options, control_of
from fabric.layout import Layout
from fabric.locking import is_ours, locked


async def end_network(directory: Path, *, remove: bool = False, options: Options = DEFAULT_OPTIONS) -> bool:
    """End all processes of the network in a directory, one that an interrupted `up` has left as well.

    Args:
        directory: of its files.
        remove: the files as well.
        options: how it is handled.

    Returns:
        Whether there was anything.

    Raises:
        NetworkError: another command is changing it.
    """
    control = control_of(directory, options)
    if not is_ours(control.parts.layout):
        return False
    with locked(control.parts.layout):
        await control.end_all()
        if remove:
            _remove_directory(control.parts.layout)
    return True


def remove_network_files(layout: Layout) -> None:
    """Remove everything but the lock file."""
    if not is_ours(layout):
        return
    for path in layout.directory.iterdir():
        if path == layout.lock:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_directory(layout: Layout) -> None:
    if is_ours(layout):
        remove_network_files(layout)
        layout.lock.unlink()
        layout.directory.rmdir()
