"""What goes into an aggregation and what comes out: inputs, their sources, a sink, a result. Pure; no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from consilo.aggregation.errors import InputsInvalid

MAX_WEIGHT: Final = 2**53
"""The greatest weight: up to here float64 holds every integer."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Source(Protocol):
    """A stream of bytes, read by one thread. A file opened with `buffering=0` is one."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read at least one byte into `buffer` and return how many; 0 is the end. Blocks, but not for ever.

        A source has its own timeouts: nothing else ends a read that hangs.

        Raises:
            OSError: the bytes cannot be had; the input counts as unavailable. Any other exception ends the aggregation.
        """
        ...

    def close(self) -> None:
        """Release what the source holds. Called once, by the thread that opened it."""
        ...


class Sink(Protocol):
    """Takes the result, from one thread (not the caller's). A binary file is one.

    It is never told of the end: who made it completes it after `aggregate` has returned, and aborts it otherwise.
    """

    def write(self, buffer: memoryview, /) -> object:
        """Take all of `buffer`, whose bytes change after the return. An exception ends the aggregation."""
        ...


@dataclass(frozen=True)
class Input:
    """One member's artifact.

    Attributes:
        member: "<msp>/<name>".
        weight: 1 to 2**53, as the selection recorded it.
        sha256: digest that the ledger has, hexadecimal, lower case.
        open: makes the source; called once, in a thread of its own. May raise what `Source.readinto` may.
    """

    member: str
    weight: int
    sha256: str
    open: Callable[[], Source] = field(repr=False)

    def __post_init__(self) -> None:
        if type(self.weight) is not int or not 1 <= self.weight <= MAX_WEIGHT:
            raise InputsInvalid(f"{self.member}: a weight must be an integer from 1 to 2**53")
        if _SHA256.fullmatch(self.sha256) is None:
            raise InputsInvalid(f"{self.member}: a digest must be 64 hexadecimal digits in lower case")


@dataclass(frozen=True)
class Result:
    """The artifact that was written: its digest (hexadecimal, lower case) and its size in bytes."""

    sha256: str
    size_bytes: int
