"""The port to a ledger's state, and the draft in which a transition collects its writes. Pure; no I/O of its own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Protocol, TypeVar

from consilo.protocol.canonical import canonical, digest
from consilo.protocol.errors import ProtocolError
from consilo.protocol.model import Record

R = TypeVar("R", bound=Record)


class State(Protocol):
    """What a transition reads. Implemented over a database, a Fabric peer, or a dictionary."""

    @property
    def ledger(self) -> str:
        """Name of the ledger (on Fabric: the channel). Every payload is signed for one ledger."""
        ...

    def get(self, key: str) -> bytes | None:
        """The record's canonical bytes, or None."""
        ...

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys and records with start <= key < end, in the order of the keys' UTF-8 bytes."""
        ...


class KeyOverwrittenError(ProtocolError):
    """A transition tried to write a key twice: a defect of the transition, never of its input."""


def read(state: State, key: str, model: type[R]) -> R | None:
    """The record at a key, decoded, or None."""
    data = state.get(key)
    return None if data is None else model.decode(data)


class Draft:
    """Writes of one transaction on top of a state. Reads see earlier writes; nothing is ever overwritten.

    Each write first reads its key, so that on Fabric two transactions that write the same key conflict.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._writes: dict[str, bytes] = {}

    @property
    def ledger(self) -> str:
        """Name of the ledger."""
        return self._state.ledger

    @property
    def writes(self) -> dict[str, bytes]:
        """Key -> canonical bytes of all writes so far, in order of writing."""
        return dict(self._writes)

    def get(self, key: str) -> bytes | None:
        """The record's canonical bytes, or None."""
        return self._writes.get(key) or self._state.get(key)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys and records with start <= key < end, in order, with this draft's writes among them."""
        merged = dict(self._state.range(start, end))
        merged.update((key, data) for key, data in self._writes.items() if start <= key < end)
        yield from sorted(merged.items(), key=lambda item: item[0].encode())

    def put(self, key: str, record: Record) -> None:
        """Write a new record.

        Raises:
            KeyOverwrittenError: there is one.
        """
        if self.get(key) is not None:
            raise KeyOverwrittenError(f"{key} would be overwritten")
        self._writes[key] = record.encode()


class DictState:
    """A state held in memory: for replay, simulation and tests."""

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger
        self._sorted: list[str] = []
        self._unsorted: list[str] = []
        self.records: dict[str, bytes] = {}

    @property
    def ledger(self) -> str:
        """Name of the ledger."""
        return self._ledger

    def get(self, key: str) -> bytes | None:
        """The record's canonical bytes, or None."""
        return self.records.get(key)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys and records with start <= key < end, in order."""
        keys = self._sorted
        if self._unsorted:
            keys += self._unsorted
            keys.sort()  # near linear: all but the end is in order
            self._unsorted.clear()
        for key in keys[bisect_left(keys, start) : bisect_left(keys, end)]:
            yield key, self.records[key]

    def commit(self, writes: dict[str, bytes]) -> None:
        """Apply a transaction's writes: all of them, or none.

        Raises:
            KeyOverwrittenError: one of the keys is there already.
        """
        for key in writes:
            if key in self.records:
                raise KeyOverwrittenError(f"{key} would be overwritten")
        self.records.update(writes)
        self._unsorted += writes


def writes_digest(writes: dict[str, bytes]) -> str:
    """Digest of a transaction's writes, sorted by key: what ledgers record and verifiers compare."""
    return digest(canonical([[key, data.decode()] for key, data in sorted(writes.items())]))
