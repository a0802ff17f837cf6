"""Names of a network's processes, and of what peers know about them. Pure."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["orderer", "chaincode", "peer"]

ROOT_CERTIFICATE: Final = "root_cert"
"""Name under which a peer's builder knows the root certificate of its organisation's chaincode server."""


def peer_name(msp: str) -> str:
    """Name of an organisation's peer, as a process."""
    return f"peer-{msp}"


def chaincode_name(msp: str, sequence: int) -> str:
    """Name of an organisation's chaincode server, as a process."""
    return f"chaincode-{msp}-{sequence}"


def slot_of(sequence: int) -> str:
    """Under which name peers know the chaincode server of a sequence: two names, so that the next can start beside."""
    return "even" if sequence % 2 == 0 else "odd"
