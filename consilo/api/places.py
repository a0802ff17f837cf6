"""Where the bytes of an artifact are. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from consilo.api.networks import Networks
from consilo.store.port import SignedRequest


@dataclass(frozen=True)
class Place:
    """Where the bytes of an artifact are to be fetched from or put to.

    Attributes:
        request: signed; good for one method, one object, a short time.
        allowed_hosts: the hosts that the ledger names for the organisation's stores.
        artifact_key: the object's key, for the record on the ledger.
        organisation: whose store it is.
        size_bytes: of the object.
        networks: to which its host must lead; None for the own organisation's.
    """

    request: SignedRequest
    allowed_hosts: tuple[str, ...]
    artifact_key: str
    organisation: str
    size_bytes: int
    networks: Networks | None = None
