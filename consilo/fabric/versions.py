"""Which version of each key is current, so that what a transaction read can be judged again (MVCC). Pure; no I/O.

A transaction counts only if nothing that it read was written by another in between: each key read must still have the
version read, each range the same keys at the same versions. Versions, not values, are kept here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from typing import Any

from consilo.fabric.range_summary import is_summary_of
from consilo.fabric.readwrite import Accesses, Space, Version, version_of


class Conflict(Exception):
    """What a transaction read is not current any more.

    Attributes:
        in_range: whether it is a range that would read otherwise now.
    """

    def __init__(self, message: str, *, in_range: bool) -> None:
        super().__init__(message)
        self.in_range = in_range


class Versions:
    """The versions of all keys of some namespaces.

    Args:
        namespaces: those followed.
    """

    def __init__(self, namespaces: Collection[str]) -> None:
        self._namespaces = namespaces
        self._spaces: dict[Space, _Keys] = {}

    def check(self, accesses: tuple[Accesses, ...], block: int) -> None:
        """Check that all that was read is current. What is read elsewhere is not looked at.

        Args:
            accesses: of a transaction of block `block`; those before it in the block are written already.
            block: its number.

        Raises:
            Conflict: it is not.
            FabricBlockError: `malformed`: a range cannot be read.
        """
        for each in accesses:
            if each.space.namespace not in self._namespaces:
                continue
            keys = self._spaces.get(each.space, _NONE)
            for key, version in each.reads:
                found = keys.versions.get(key)
                # What this very block wrote (or took away) conflicts whatever the version that is said to be read.
                if found != version or (found is not None and found[0] == block) or key in keys.gone_in(block):
                    raise Conflict(f"{_shown(key)} was read at {_at(version)} and is at {_at(found)}", in_range=False)
            for query in each.ranges:
                if not keys.reads_alike(query):
                    name = f"{query.start_key!r} to {query.end_key!r}"[:200]
                    raise Conflict(f"the range {name} reads otherwise by then", in_range=True)

    def write(self, accesses: tuple[Accesses, ...], version: Version) -> None:
        """Take in what a valid transaction wrote."""
        for each in accesses:
            if each.space.namespace in self._namespaces:
                keys = self._spaces.setdefault(each.space, _Keys())
                for key, value in each.writes:
                    keys.put(key, None if value is None else version, version[0])


class _Keys:
    def __init__(self) -> None:
        self.versions: dict[bytes, Version] = {}
        self._sorted: list[bytes] = []
        self._unsorted: list[bytes] = []
        self._gone: tuple[int, set[bytes]] = (-1, set())

    def put(self, key: bytes, version: Version | None, block: int) -> None:
        if version is None:
            if self._gone[0] != block:
                self._gone = (block, set())
            self._gone[1].add(key)
            if self.versions.pop(key, None) is not None:
                keys = self._in_order()
                del keys[bisect_left(keys, key)]
            return
        if key not in self.versions:
            self._unsorted.append(key)
        self.versions[key] = version

    def gone_in(self, block: int) -> set[bytes]:
        """The keys that the block takes away."""
        return self._gone[1] if self._gone[0] == block else set()

    def reads_alike(self, query: Any) -> bool:
        """Whether a range reads what a `kvrwset.RangeQueryInfo` says."""
        found = self._range(query.start_key.encode(), query.end_key.encode(), with_end=not query.itr_exhausted)
        if query.HasField("reads_merkle_hashes"):
            return is_summary_of(query.reads_merkle_hashes, found)
        return [(read.key.encode(), version_of(read)) for read in query.raw_reads.kv_reads] == list(found)

    def _range(self, start: bytes, end: bytes, *, with_end: bool) -> Iterator[tuple[bytes, Version]]:
        keys = self._in_order()
        last = len(keys) if not end else (bisect_right if with_end else bisect_left)(keys, end)
        for key in keys[bisect_left(keys, start) : last]:
            yield key, self.versions[key]

    def _in_order(self) -> list[bytes]:
        if self._unsorted:
            self._sorted += self._unsorted
            self._sorted.sort()  # near linear: all but the end is in order
            self._unsorted.clear()
        return self._sorted


_NONE = _Keys()


def _shown(key: bytes) -> str:
    return repr(key.decode(errors="replace"))[:100]


def _at(version: Version | None) -> str:
    return "no version" if version is None else f"version {version[0]}.{version[1]}"
