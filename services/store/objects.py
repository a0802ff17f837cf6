"""A directory of objects, each a plain file under its key, written once. Does file I/O; knows nothing of HTTP.

Invariants, also after a kill or a power cut at any point:

- a file under its key is complete: it was made in `.incoming` and linked to its name as the last step;
- a name that exists is never replaced: `link` fails when it is taken, so of several writers exactly one wins;
- no path leads out: segments are checked, opened one by one relative to their parent, and never through a symlink.

The digest is an extended attribute of the file, set before the link. Where the file system has no extended attributes,
`ObjectInfo.sha256` is None.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from consilo.store.errors import ObjectExists, ObjectMissing, StoreFull, StoreUnavailable
from consilo.store.keys import check_key
from consilo.store.port import ObjectInfo, ObjectPage
from services.store.incoming import DIGEST_ATTRIBUTE, IncomingObject
from services.store.listing import list_objects

_INCOMING = ".incoming"
_LOCK = ".lock"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK_ATTEMPTS = 10


class ObjectDirectory:
    """The objects under one root. Threads may share it; processes may not (a lock file sees to it)."""

    def __init__(self, root: Path, *, fsync: bool = True, minimum_free_bytes: int = 0) -> None:
        """Opens the directory, making it if needed, and removes what unfinished uploads have left.

        Args:
            root: Of the objects.
            fsync: Whether `IncomingObject.publish` waits for the disk.
            minimum_free_bytes: Room that uploads leave on the disk.

        Raises:
            StoreUnavailable: The directory cannot be used, or another service uses it.
        """
        self._fsync = fsync
        self._minimum_free_bytes = minimum_free_bytes
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._root)
            with contextlib.suppress(FileExistsError):
                os.mkdir(_INCOMING, 0o700, dir_fd=self._root)
            self._incoming = os.open(_INCOMING, _DIRECTORY_FLAGS, dir_fd=self._root)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreUnavailable(f"another store service uses the directory {root}") from None
        except OSError as error:
            raise StoreUnavailable(f"cannot use the directory {root}: {error.strerror}") from None
        with os.scandir(self._incoming) as leftovers:
            for leftover in leftovers:
                os.unlink(leftover.name, dir_fd=self._incoming)

    def close(self) -> None:
        """Gives the directory up."""
        for descriptor in (self._incoming, self._lock, self._root):
            os.close(descriptor)

    def keeps_digests(self) -> bool:
        """Whether the file system has the extended attributes that digests are kept in."""
        try:
            with self._incoming_file() as (_, descriptor):
                os.setxattr(descriptor, DIGEST_ATTRIBUTE, b"")
        except OSError:
            return False
        return True

    def is_writable(self) -> bool:
        """Whether a file can be made and there is room for one."""
        try:
            with self._incoming_file() as (_, descriptor):
                os.write(descriptor, b"ready")
            return self._free_bytes() >= self._minimum_free_bytes
        except OSError:
            return False

    @contextmanager
    def receive(self, key: str, size_bytes: int) -> Iterator["IncomingObject"]:
        """A new object of exactly `size_bytes` bytes; leaving the block without `publish` leaves nothing.

        Raises:
            ObjectExists: The key is taken. Another writer may still win later, which `publish` tells.
            StoreFull: There is no room for the object.
            StoreUnavailable: The disk failed.
        """
        if self._is_taken(key):
            raise ObjectExists(f"{key} exists; objects are written once")
        if self._free_bytes() - size_bytes < self._minimum_free_bytes:
            raise StoreFull(f"no room for {size_bytes} bytes")
        try:
            with self._incoming_file() as (name, descriptor):
                publish = partial(self._link, name, key)
                with IncomingObject(descriptor, size_bytes, publish, fsync=self._fsync) as incoming:
                    yield incoming
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull(f"no room for {size_bytes} bytes") from None
            raise

    @contextmanager
    def open(self, key: str) -> Iterator[tuple[int, ObjectInfo]]:
        """An object's file, open for reading, and what is known of it.

        Raises:
            ObjectMissing: No object under this key.
        """
        try:
            with self._parent(key) as (parent, name):
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            raise _missing(key, error) from None
        try:
            status = os.fstat(descriptor)
            if not _is_file(status.st_mode):
                raise ObjectMissing(f"there is no object {key}")
            yield descriptor, ObjectInfo(status.st_size, _digest_of(descriptor))
        finally:
            os.close(descriptor)

    def info(self, key: str) -> ObjectInfo:
        """What is known of an object.

        Raises:
            ObjectMissing: No object under this key.
        """
        with self.open(key) as (_, info):
            return info

    def list(self, after: str, limit: int) -> ObjectPage:
        """A page of the objects, in key order (see `ObjectStore.list`)."""
        return list_objects(self._root, after, limit)

    def delete(self, key: str) -> None:
        """Removes an object; readers that have it open keep it. Directories that become empty go too.

        Raises:
            ObjectMissing: No object under this key.
        """
        try:
            with self._parent(key) as (parent, name):
                if not _is_file(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    raise ObjectMissing(f"there is no object {key}")
                os.unlink(name, dir_fd=parent)
                if self._fsync:
                    os.fsync(parent)
        except OSError as error:
            raise _missing(key, error) from None
        above = key
        with contextlib.suppress(OSError):  # not empty, or another thread was first
            while "/" in above:
                above = above.rpartition("/")[0]
                with self._parent(above) as (parent, name):
                    os.rmdir(name, dir_fd=parent)

    def _link(self, temporary: str, key: str) -> None:
        # Gives a finished file in `.incoming` its name: the one step that makes an object visible.
        for _ in range(_LINK_ATTEMPTS):  # a delete may remove a directory between its making and the link
            try:
                with self._parent(key, make=True) as (parent, name):
                    os.link(temporary, name, src_dir_fd=self._incoming, dst_dir_fd=parent, follow_symlinks=False)
                    if self._fsync:
                        os.fsync(parent)
                    return
            except FileNotFoundError:
                continue
            except (FileExistsError, NotADirectoryError):
                raise ObjectExists(f"{key} exists; objects are written once") from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise ObjectExists(f"a part of {key} is a symbolic link") from None
                raise
        raise StoreUnavailable(f"the directory of {key} is removed as fast as it is made")

    @contextmanager
    def _parent(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        *directories, name = check_key(key).split("/")
        parent = os.dup(self._root)
        try:
            for directory in directories:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(directory, 0o700, dir_fd=parent)
                        if self._fsync:
                            os.fsync(parent)
                below = os.open(directory, _DIRECTORY_FLAGS, dir_fd=parent)
                os.close(parent)
                parent = below
            yield parent, name
        finally:
            os.close(parent)

    @contextmanager
    def _incoming_file(self) -> Iterator[tuple[str, int]]:
        name = secrets.token_hex(16)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._incoming)
        try:
            yield name, descriptor
        finally:
            os.close(descriptor)
            os.unlink(name, dir_fd=self._incoming)

    def _is_taken(self, key: str) -> bool:
        try:
            with self._parent(key) as (parent, name):
                os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                return True
            raise
        return True

    def _free_bytes(self) -> int:
        disk = os.fstatvfs(self._root)
        return disk.f_bavail * disk.f_frsize


def _digest_of(descriptor: int) -> str | None:
    try:
        return os.getxattr(descriptor, DIGEST_ATTRIBUTE).decode("ascii", "replace")
    except OSError:
        return None


def _is_file(mode: int) -> bool:
    return (mode & 0o170000) == 0o100000


def _missing(key: str, error: OSError) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
        return ObjectMissing(f"there is no object {key}")
    return error
