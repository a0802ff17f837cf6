"""What travels over the REST API of a ledger service, beyond the protocol's own records. Pure; no I/O."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from consilo.protocol.apply import Event
from consilo.protocol.bodies import ArtifactReference
from consilo.protocol.canonical import canonical
from consilo.protocol.model import Record
from consilo.protocol.records import CertificateText
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import Digest, Member, Milliseconds, Msp, Name, ObjectKey
from consilo.store.port import SignedRequest

HEAD_PREFIX: Final = b"consilo head v1\n"
_POSITION: Final = re.compile(r"(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,9})", re.ASCII)


class Position(Record):
    """A place in the ledger: block height, index of the transaction in the block."""

    height: Annotated[int, Field(ge=0, le=2**53 - 1)]
    index: Annotated[int, Field(ge=0, lt=10**10)]

    def cursor(self) -> str:
        """The opaque text with which a client resumes an event stream after this place."""
        return base64.urlsafe_b64encode(f"{self.height}.{self.index}".encode()).decode().rstrip("=")

    @classmethod
    def of_cursor(cls, cursor: str) -> Position:
        """The place that a cursor names.

        Raises:
            ValueError: it is none.
        """
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError("not the cursor of a place in a ledger")
        place = cls(height=int(match[1]), index=int(match[2]))
        if place.cursor() != cursor:
            raise ValueError("not the canonical spelling of a cursor")
        return place


class Head(Record):
    """The newest block that a ledger service knows."""

    ledger: str
    height: Annotated[int, Field(ge=0, le=2**53 - 1)]
    hash: Digest


class SignedHead(Record):
    """A head with the word of the gateway that showed it: who lost a block that it vouched for is found out."""

    head: Head
    signed_by: Member
    signed_at: Milliseconds
    certificates: tuple[CertificateText, ...]
    signature: str

    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return head_bytes(self.head, self.signed_by, self.signed_at)


def head_bytes(head: Head, signed_by: str, signed_at: int) -> bytes:
    """The bytes that a gateway signs for a head."""
    return HEAD_PREFIX + canonical([head.ledger, head.height, head.hash, signed_by, signed_at])


class Committed(Record):
    """Answer to a transaction: it is on the ledger. `repeated`: it was there before, and nothing changed."""

    transaction: Digest
    time: Milliseconds
    repeated: bool
    head: SignedHead


class LedgerInfo(Record):
    """What a ledger service says to everyone: its ledger's name and kind, and whose gateway it is."""

    ledger: str
    kind: str
    organisations: tuple[Msp, ...]
    version: str


class CommittedEvent(Record):
    """One event of the stream, with its place and time."""

    position: Position
    time: Milliseconds
    event: Event


class UploadRequest(Record):
    """Asks for a place to put an artifact of a run into the store of the sender's organisation."""

    run: Name
    size_bytes: Annotated[int, Field(ge=1, le=2**44)]


class DownloadRequest(Record):
    """Asks for an artifact of a run that lies in the store of the gateway's organisation.

    Attributes:
        access: the sender's `record_access` of this artifact, to be handed in first where the ledger demands a record
            and has none yet; None: it has, or demands none.
    """

    run: Name
    artifact: ArtifactReference
    access: Transaction | None = None


class Signed(Record):
    """A signed request to an object store. A capability: never logged."""

    method: str
    url: str = Field(repr=False)
    headers: dict[str, str] = Field(repr=False)
    expires_at: Milliseconds

    @classmethod
    def of(cls, request: SignedRequest) -> Signed:
        """From a store's signed request."""
        headers: Mapping[str, str] = request.headers
        return cls(method=request.method, url=request.url, headers=dict(headers), expires_at=request.expires_at)

    def request(self) -> SignedRequest:
        """As a store's signed request."""
        return SignedRequest(self.method, self.url, self.headers, self.expires_at)


class UploadGrant(Record):
    """Where to put an artifact: the key to record on the ledger, and the request that puts it there."""

    organisation: Msp
    key: ObjectKey
    request: Signed


class DownloadGrant(Record):
    """The request that gets an artifact, and its size. `committed`: of the access, where it was handed in for it."""

    organisation: Msp
    size_bytes: Annotated[int, Field(ge=0, le=2**53 - 1)]
    request: Signed
    committed: Committed | None = None


class Problem(Record):
    """An error, as RFC 9457 says (`application/problem+json`), with a stable `code`.

    `retryable`: the same request may succeed later.
    """

    type: str = "about:blank"
    title: str
    status: Annotated[int, Field(ge=100, le=599)]
    detail: str
    code: str
    retryable: bool
