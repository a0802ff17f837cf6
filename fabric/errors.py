"""What goes wrong with a test network. No I/O.

NetworkError
├── BinariesMissing   Fabric's programs are not installed
├── CommandFailed     one of Fabric's commands ended with an error
├── PartFailed        a peer, orderer or chaincode server ended, or did not get ready
├── Impossible        there can be no such network, or there is no such part of it
└── NetworkAbsent     there is no network in the directory
"""

from __future__ import annotations


class NetworkError(Exception):
    """Root of this package's errors. The message says what to do, or holds the end of the failing program's log."""


class BinariesMissing(NetworkError):
    """Programs of Fabric are not there."""


class CommandFailed(NetworkError):
    """A command of Fabric failed.

    Attributes:
        output: everything that it wrote, for callers that know some of its errors.
    """

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class PartFailed(NetworkError):
    """A process of the network ended by itself, or was not ready in time."""


class Impossible(NetworkError):
    """There can be no such network, or there is no such part of it."""


class NetworkAbsent(NetworkError):
    """The directory holds no network."""
