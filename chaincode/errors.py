"""The errors of this package. Pure; no I/O.

ChaincodeError
|- ProtocolViolation  the peer sent what the shim's protocol does not allow; its stream is given up
|- StreamBroken       the peer is gone; nobody waits for the transaction any more
'- PeerError          the peer did not give what a transaction asked it for, or not in time
"""

from __future__ import annotations


class ChaincodeError(Exception):
    """Root of all errors raised by `chaincode`."""


class ProtocolViolation(ChaincodeError):
    """The peer sent what the shim's protocol does not allow."""


class StreamBroken(ChaincodeError):
    """The stream of the peer that asked for a transaction has ended."""


class PeerError(ChaincodeError):
    """The peer answered a transaction's request with an error, or not in time."""
