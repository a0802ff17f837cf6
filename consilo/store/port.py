"""The port of an object store: what a gateway and a collector of garbage need from any store. Pure; no I/O here.

Bytes never pass through this port: it signs requests, and whoever holds a signed request talks to the store directly.
Every adapter keeps these promises (`tests/contract/test_object_store.py`):

- an object is written once: a second PUT of a key is refused, whatever its content;
- a signed PUT takes exactly the number of bytes it was signed for;
- a signature is good for one method and one key, until it expires;
- an upload that is cut off leaves nothing that a reader could see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

__all__ = ["MAX_LISTED", "ObjectInfo", "ObjectPage", "ObjectStore", "SignedRequest", "StoredObject", "without_query"]

MAX_LISTED = 1000
"""The most objects in one page of a list."""


def without_query(url: str) -> str:
    """The URL up to its query and without user information: what may be shown and logged."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "<not a URL>"
    return f"{parts.scheme}://{host}{parts.path}"


@dataclass(frozen=True, slots=True, repr=False)
class SignedRequest:
    """A request that anyone who holds it may make, until it expires.

    Its text never shows the query, which holds the signature.

    Attributes:
        method: `GET` or `PUT`.
        url: With the signature in its query. A capability: never log it.
        headers: Must be sent exactly as given; part of what was signed.
        expires_at: Milliseconds since 1970-01-01 UTC.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: int

    def __repr__(self) -> str:
        """Shows the request without its signature."""
        return f"SignedRequest({self.method} {without_query(self.url)}, expires_at={self.expires_at})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object.

    Attributes:
        size_bytes: Its size.
        sha256: The digest the store computed on receipt, lower-case hex; None when it keeps none. Nobody's proof: who
            needs certainty hashes the bytes.
    """

    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object in a list.

    Attributes:
        key: Its key.
        size_bytes: Its size.
        modified_at: When it was written, by the store's clock; milliseconds since 1970-01-01 UTC.
    """

    key: str
    size_bytes: int
    modified_at: int


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a store's objects, in the order of their keys' bytes.

    Attributes:
        objects: At most as many as asked for; there may be fewer, even none, and more to come.
        next: What the next page comes after; None on the last page.
    """

    objects: tuple[StoredObject, ...]
    next: str | None


class ObjectStore(Protocol):
    """One organisation's object store. Methods block: use threads on an event loop. Threads may share it."""

    def sign_put(self, key: str, size_bytes: int, expires_in_seconds: float) -> SignedRequest:
        """Signs one upload of exactly `size_bytes` bytes to `key`. Does not ask the store.

        Raises:
            InvalidKey: Not a key.
            ValueError: A size below 0, or a lifetime that is not above 0 and within the adapter's limit.
        """
        ...

    def sign_get(self, key: str, expires_in_seconds: float) -> SignedRequest:
        """Signs downloads of `key`. Does not ask the store, so the object need not be there.

        Raises:
            InvalidKey: Not a key.
            ValueError: A lifetime that is not above 0 and within the adapter's limit.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What the store knows of the object, or None when it has none.

        Raises:
            InvalidKey: Not a key.
            StoreUnavailable: The store did not answer.
            StoreError: It refused.
        """
        ...

    def delete(self, key: str) -> None:
        """Removes the object; no error when it is not there (deleting twice is deleting once).

        Raises:
            InvalidKey: Not a key.
            StoreUnavailable: The store did not answer.
            StoreError: It refused.
        """
        ...

    def list(self, after: str, limit: int) -> ObjectPage:
        """A page of the objects that are whole. What is written or deleted meanwhile may be in it or not.

        Args:
            after: The `next` of the page before; empty for the first.
            limit: How many at most, up to `MAX_LISTED`.

        Raises:
            InvalidKey: `after` is neither empty nor a key.
            ValueError: A limit that is not from 1 to `MAX_LISTED`.
            StoreUnavailable: The store did not answer.
            StoreError: It refused.
        """
        ...
