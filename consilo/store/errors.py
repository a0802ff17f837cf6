"""The errors of an object store, each with a stable code. Pure; no I/O.

    StoreError
    |- InvalidKey          invalid-key        not a key that a store accepts
    |- InvalidSecret       invalid-secret     the file of signing secrets cannot be used
    |- ObjectExists        object-exists      keys are written once
    |- ObjectMissing       object-missing     no object under this key
    |- TooLarge            too-large          more bytes than signed for, or than the store takes
    |- UrlExpired          url-expired        the signature was right, its time is over
    |- UrlInvalid          url-invalid        the signature is not for this request
    |- StoreUnavailable    store-unavailable  could not be reached or cannot answer now (retryable)
    '- StoreFull           store-full         no room for the object (retryable: room can be made)

No message holds a URL's query: a signature is a capability.
"""

from typing import ClassVar

__all__ = [
    "InvalidKey",
    "InvalidSecret",
    "ObjectExists",
    "ObjectMissing",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TooLarge",
    "UrlExpired",
    "UrlInvalid",
    "error_for_code",
]


class StoreError(Exception):
    """Root of all errors raised by `consilo.store`.

    Attributes:
        code: Stable, the same in exceptions and in the service's problem documents.
        retryable: Whether the same request can succeed later with nothing changed by the caller.
    """

    code: ClassVar[str] = "store-error"
    retryable: ClassVar[bool] = False


class InvalidKey(StoreError, ValueError):
    """A key that no store accepts (see `keys.py`)."""

    code = "invalid-key"


class InvalidSecret(StoreError, ValueError):
    """A signing secret is missing, too short, or given twice."""

    code = "invalid-secret"


class ObjectExists(StoreError):
    """An object stands under this key already; objects are written once."""

    code = "object-exists"


class ObjectMissing(StoreError):
    """No object stands under this key."""

    code = "object-missing"


class TooLarge(StoreError):
    """More bytes than the signature allows, or than the store takes."""

    code = "too-large"


class UrlExpired(StoreError):
    """The signature is right, but its time is over: ask for a new URL."""

    code = "url-expired"


class UrlInvalid(StoreError):
    """The signature is not one for this method, key, time and size."""

    code = "url-invalid"


class StoreUnavailable(StoreError):
    """The store could not be reached or cannot answer now."""

    code = "store-unavailable"
    retryable = True


class StoreFull(StoreError):
    """The store has no room for the object."""

    code = "store-full"
    retryable = True


_BY_CODE: dict[str, type[StoreError]] = {
    kind.code: kind
    for kind in (InvalidKey, ObjectExists, ObjectMissing, TooLarge, UrlExpired, UrlInvalid, StoreUnavailable, StoreFull)
}


def error_for_code(code: str | None) -> type[StoreError] | None:
    """The error class of a code that a store answered, or None for a code that is not known."""
    return _BY_CODE.get(code) if code is not None else None
