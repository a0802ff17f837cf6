"""The envelope of a transaction: a canonical payload, its member's signature and certificate chain. Pure; no I/O.

    {"payload": {"schema_version": 1, "ledger": ..., "member": ..., "type": ..., "body": {...}},
     "certificates": [base64 DER of the leaf, then of intermediates],
     "signature": base64url of r || s}

The signature is ES256 (RFC 7518, section 3.4) over a fixed prefix and the payload's canonical bytes; the prefix keeps
it apart from every other thing that the same key signs. The id of a transaction is the SHA-256 of its payload: the same
request signed twice is the same transaction.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue

from consilo.protocol.canonical import canonical, digest, parse
from consilo.protocol.model import Record
from consilo.protocol.records import CertificateText
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.values import LedgerName, Member

SIGNATURE_PREFIX: Final = b"consilo transaction v1\n"
MAX_CERTIFICATES: Final = 4


class Payload(Record):
    """What a member signs."""

    schema_version: Literal[1] = 1
    ledger: LedgerName
    member: Member
    type: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]
    body: dict[str, JsonValue]


class Transaction(Record):
    """A signed payload."""

    payload: Payload
    certificates: Annotated[tuple[CertificateText, ...], Field(min_length=1, max_length=MAX_CERTIFICATES)]
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{86}$")]

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical payload."""
        return digest(self.payload.encode())

    @cached_property
    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return signed_bytes(self.payload)

    def signature_bytes(self) -> bytes:
        """The signature as r || s, 64 bytes.

        Raises:
            InvalidInput: `malformed`.
        """
        return _decode(self.signature + "==", base64.urlsafe_b64decode, base64.urlsafe_b64encode)

    def certificates_der(self) -> tuple[bytes, ...]:
        """DER of the chain, leaf first.

        Raises:
            InvalidInput: `malformed`.
        """
        return tuple(certificate_der(text) for text in self.certificates)

    @classmethod
    def parse(cls, data: bytes, *, max_bytes: int) -> Transaction:
        """Read a transaction as it came over a wire.

        Raises:
            InvalidInput: `too-large` or `malformed`.
        """
        return cls.decode(canonical(parse(data, max_bytes=max_bytes)))


def payload(ledger: str, member: str, kind: str, body: Record) -> Payload:
    """The payload for a transition's body; `kind` is the transition's name, e.g. `publish_update`."""
    value: dict[str, Any] = body.model_dump(mode="json")
    return Payload(ledger=ledger, member=member, type=kind, body=value)


def signed_bytes(signed: Payload) -> bytes:
    """The bytes that the member's signature covers."""
    return SIGNATURE_PREFIX + signed.encode()


def envelope(signed: Payload, certificates: tuple[bytes, ...], signature: bytes) -> Transaction:
    """The transaction of a payload.

    Args:
        signed: the payload.
        certificates: DER, leaf first, without the root.
        signature: r || s over `signed_bytes(signed)`, 64 bytes.
    """
    return Transaction(
        payload=signed,
        certificates=tuple(base64.b64encode(der).decode() for der in certificates),
        signature=base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
    )


def certificate_der(text: str) -> bytes:
    """DER of a certificate's base64.

    Raises:
        InvalidInput: `malformed`.
    """
    return _decode(text, lambda value: base64.b64decode(value, validate=True), base64.b64encode)


def _decode(text: str, decoder: Callable[[str], bytes], encoder: Callable[[bytes], bytes]) -> bytes:
    try:
        data = decoder(text)
    except (binascii.Error, ValueError):
        raise InvalidInput("malformed", "not base64") from None
    # The last character has bits to spare: without this, others could respell what a member sent.
    if encoder(data).decode() != text:
        raise InvalidInput("malformed", "not the canonical spelling of base64")
    return data
