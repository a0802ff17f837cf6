"""The errors of bulk transfers, each with a stable code. Pure; no I/O.

    TransferError
    |- HostNotAllowed        host-not-allowed      the URL leads to a host that is not registered; nothing was sent
    |- ObjectMissing         object-missing        the store has no such object
    |- ObjectExists          object-exists         the key is taken; objects are written once
    |- UrlExpired            url-expired           ask for a new URL
    |- DigestMismatch        digest-mismatch       the bytes are not the ones that were promised
    |- SizeMismatch          size-mismatch         too many or too few bytes
    |- TransferRefused       transfer-refused      the store said no, or does not speak as a store should
    '- TransferUnavailable   transfer-unavailable  no answer, or cut off, or the store cannot now (retryable)

No message holds a URL's query: a signature is a capability.
"""

from typing import ClassVar

__all__ = [
    "DigestMismatch",
    "HostNotAllowed",
    "ObjectExists",
    "ObjectMissing",
    "SizeMismatch",
    "TransferError",
    "TransferRefused",
    "TransferUnavailable",
    "UrlExpired",
]


class TransferError(Exception):
    """Root of the errors of `consilo.api.transfers`.

    Attributes:
        code: Stable.
        retryable: Whether the same request can succeed later with nothing changed by the caller.
    """

    code: ClassVar[str] = "transfer-error"
    retryable: ClassVar[bool] = False


class HostNotAllowed(TransferError):
    """The URL leads to a host that is not among the allowed ones."""

    code = "host-not-allowed"


class ObjectMissing(TransferError):
    """The store has no object under the URL's key."""

    code = "object-missing"


class ObjectExists(TransferError):
    """The store has an object under the URL's key already."""

    code = "object-exists"


class UrlExpired(TransferError):
    """The URL's time is over."""

    code = "url-expired"


class DigestMismatch(TransferError):
    """The bytes have another SHA-256 than was expected."""

    code = "digest-mismatch"


class SizeMismatch(TransferError):
    """There are more or fewer bytes than were expected."""

    code = "size-mismatch"


class TransferRefused(TransferError):
    """The store refused, or answered what no store should: a redirect, a body without a length."""

    code = "transfer-refused"


class TransferUnavailable(TransferError):
    """The store did not answer, was cut off, or cannot serve now."""

    code = "transfer-unavailable"
    retryable = True
