"""The objects below a directory, in the order of their keys. Reads directories; knows nothing of HTTP.

What has no name of a key (the store's own files, the link of somebody else) is passed over. Memory grows with the
entries of the directories on one path, not with the number of objects.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from consilo.store.errors import InvalidKey
from consilo.store.keys import check_key
from consilo.store.port import ObjectPage, StoredObject

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def list_objects(root: int, after: str, limit: int) -> ObjectPage:
    """A page of the objects whose keys come after `after` (see `ObjectStore.list`).

    Args:
        root: Descriptor of the directory of objects; stays open.
        after: A key, or empty.
        limit: How many at most.
    """
    found: list[StoredObject] = []
    for stored in _below(root, "", after):
        if len(found) == limit:
            return ObjectPage(tuple(found), found[-1].key)
        found.append(stored)
    return ObjectPage(tuple(found), None)


def _below(directory: int, prefix: str, after: str) -> Iterator[StoredObject]:
    for name in _names(directory):
        path = prefix + name
        if not name.endswith("/"):
            if path > after:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    yield StoredObject(path, status.st_size, status.st_mtime_ns // 1_000_000)
        elif path > after or after.startswith(path):
            with suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile
                below = os.open(name[:-1], _DIRECTORY_FLAGS, dir_fd=directory)
                try:
                    yield from _below(below, path, after)
                finally:
                    os.close(below)


def _names(directory: int) -> list[str]:
    """Names of files, and of directories with a slash behind: sorted, they are in the order of the keys."""
    names: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(InvalidKey, FileNotFoundError):
                check_key(entry.name)
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    names.append(entry.name + "/")
                elif stat.S_ISREG(mode):
                    names.append(entry.name)
    return sorted(names)
