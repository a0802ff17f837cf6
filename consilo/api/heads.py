"""Heads of ledgers: verified when they come, remembered, so that a ledger that loses blocks is found out.

Reads and writes one small file per ledger when given a directory; without one, remembers as long as it lives.
"""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import Final

from consilo.api.errors import AnswerInvalid, LedgerRolledBack
from consilo.api.models import Head, SignedHead, head_bytes
from consilo.identity.identity import Identity
from consilo.protocol.certificates import CertificateError, verify_chain, verify_signature
from consilo.protocol.model import Record
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.transaction import certificate_der
from consilo.protocol.values import organisation_of

_SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all; a remembered head is shorter, but for the longest names of ledgers."""


def sign_head(identity: Identity, head: Head, now: int) -> SignedHead:
    """A head with the gateway's word. `now` in milliseconds since the epoch."""
    signature = identity.sign(head_bytes(head, identity.member, now))
    return SignedHead(
        head=head,
        signed_by=identity.member,
        signed_at=now,
        certificates=tuple(base64.b64encode(der).decode() for der in identity.certificates),
        signature=base64.urlsafe_b64encode(signature).decode(),
    )


def verify_head(signed: SignedHead, roots: tuple[bytes, ...]) -> None:
    """Check a head's signature and its signer's chain against the roots (DER) of the organisation that it claims.

    Raises:
        AnswerInvalid: it is not the word of a gateway of that organisation.
    """
    try:
        chain = verify_chain([certificate_der(text) for text in signed.certificates], roots, signed.signed_at)
        signature = base64.urlsafe_b64decode(signed.signature)
        verify_signature(chain.member, signature, signed.signed_bytes())
    except (CertificateError, InvalidInput, ValueError) as error:
        raise AnswerInvalid(f"the head's signature does not hold: {error}") from None
    if chain.member.member != signed.signed_by or chain.member.role != "gateway":
        raise AnswerInvalid(f"the head was signed by {chain.member.member}, a {chain.member.role}")
    if chain.member.msp != organisation_of(signed.signed_by):
        raise AnswerInvalid("the head's signer is of another organisation")


class _Seen(Record):
    """The file's content."""

    head: Head


class HeadMemory:
    """The newest head seen of one ledger.

    Args:
        path: file that keeps it over restarts; None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: Head | None = None
        if path is not None and path.exists():
            try:
                self._seen = _Seen.decode(path.read_bytes()).head
            except InvalidInput as error:
                raise AnswerInvalid(f"{path} is not a remembered head ({error}); move it away to start anew") from None

    @property
    def seen(self) -> Head | None:
        """The newest head seen, or None."""
        return self._seen

    def observe(self, head: Head) -> None:
        """Take note of a head that the ledger shows now, at or after the one seen.

        Raises:
            LedgerRolledBack: it is lower than the one seen, or another block of the same height, or another ledger's.
        """
        seen = self._seen
        if seen is not None:
            if head.ledger != seen.ledger:
                raise LedgerRolledBack(f"this is ledger {head.ledger}, not {seen.ledger}")
            if head.height == seen.height and head.hash != seen.hash:
                raise LedgerRolledBack(f"block {head.height} was {seen.hash}, and is {head.hash} now")
            if head.height <= seen.height:
                return
        self._seen = head
        if self._path is not None:
            _remember(self._path, _Seen(head=head).encode())

    def require(self, head: Head, seen: Head | None, hash_at_seen: str | None) -> None:
        """At the start of a connection: the ledger must still have the block that was seen.

        Args:
            head: what the ledger shows now.
            seen: what this memory held before the ledger was asked; by now it may hold a newer one, from another task.
            hash_at_seen: the hash that it gives for the height of `seen`; None when it has no such block.

        Raises:
            LedgerRolledBack: it has not.
        """
        if seen is not None and (head.height < seen.height or hash_at_seen != seen.hash):
            raise LedgerRolledBack(
                f"ledger {seen.ledger} showed block {seen.height} with hash {seen.hash} and does not have it now: "
                "it was restored from an old copy, or replaced"
            )
        self.observe(head)


def _remember(path: Path, data: bytes) -> None:
    # A member sees a new head some times a round. One sector of the disk is written as a whole or not at all, and in
    # place it costs a hundredth of a new file that replaces the old one.
    padded = data.ljust(_SECTOR_BYTES)
    if len(padded) == _SECTOR_BYTES and path.exists() and path.stat().st_size == _SECTOR_BYTES:
        with path.open("r+b", buffering=0) as file:
            file.write(padded)
    else:
        _replace(path, padded)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
