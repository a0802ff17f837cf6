"""The local adapter of the object store port: HMAC-signed URLs of the store service (`services/store`).

Signing is pure. `head`, `delete` and `list` are signed requests to the service, made by `http.client` (blocking).
"""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from consilo.store.errors import InvalidKey, ObjectMissing, StoreError, StoreUnavailable, error_for_code
from consilo.store.keys import check_key
from consilo.store.port import ObjectInfo, ObjectPage, SignedRequest, StoredObject
from consilo.store.signing import SigningSecrets, signed_list, signed_target

__all__ = ["CODE_HEADER", "DIGEST_HEADER", "LocalObjectStore", "wall_clock"]

CODE_HEADER = "X-Consilo-Code"
"""Response header with the error's code, because an answer to HEAD has no body."""
DIGEST_HEADER = "X-Consilo-SHA256"
"""Response header with the digest that the store computed on receipt."""

_MAX_EXPIRES_IN_SECONDS = 7 * 24 * 3600
_OWN_REQUESTS_SECONDS = 60
_MAX_PAGE_BYTES = 4 * 1024 * 1024


def wall_clock() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class LocalObjectStore:
    """An `ObjectStore` whose bytes are kept by one store service. Safe to share by threads."""

    def __init__(
        self,
        base_url: str,
        secrets: SigningSecrets,
        *,
        clock: Callable[[], int] = wall_clock,
        timeout_seconds: float = 30.0,
    ) -> None:
        """Takes where the service is; does not connect.

        Args:
            base_url: `http://host:port` as clients reach it, without a path.
            secrets: The same as the service's; the first signs.
            clock: Milliseconds since 1970-01-01 UTC.
            timeout_seconds: Of each wait for the network in `head`, `delete` and `list`.

        Raises:
            ValueError: The URL is not `http(s)://host[:port]`.
        """
        parts = urlsplit(base_url)
        extra = parts.path.rstrip("/") or parts.query or parts.fragment or parts.username
        if parts.scheme not in ("http", "https") or not parts.hostname or extra:
            raise ValueError("the store's base URL is http://host:port or https://host:port, without a path")
        self._base_url = f"{parts.scheme}://{parts.netloc}"
        self._https = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._secrets = secrets
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    def sign_put(self, key: str, size_bytes: int, expires_in_seconds: float) -> SignedRequest:
        """Signs one upload of exactly `size_bytes` bytes (see `ObjectStore.sign_put`)."""
        if size_bytes < 0:
            raise ValueError("an object's size is not negative")
        return self._sign("PUT", key, expires_in_seconds, size_bytes)

    def sign_get(self, key: str, expires_in_seconds: float) -> SignedRequest:
        """Signs downloads of `key` (see `ObjectStore.sign_get`)."""
        return self._sign("GET", key, expires_in_seconds, None)

    def head(self, key: str) -> ObjectInfo | None:
        """Asks the service for the object's size and digest (see `ObjectStore.head`)."""
        try:
            headers, _ = self._ask("HEAD", self._target("HEAD", key), key)
        except ObjectMissing:
            return None
        length = headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise StoreUnavailable(f"the store at {self._base_url} did not tell the size of {key}")
        return ObjectInfo(int(length), headers.get(DIGEST_HEADER))

    def delete(self, key: str) -> None:
        """Asks the service to remove the object (see `ObjectStore.delete`)."""
        try:
            self._ask("DELETE", self._target("DELETE", key), key)
        except ObjectMissing:
            return

    def list(self, after: str, limit: int) -> ObjectPage:
        """Asks the service for a page of its objects (see `ObjectStore.list`)."""
        expires_at = self._clock() + _OWN_REQUESTS_SECONDS * 1000
        target = signed_list(self._secrets, after, limit, expires_at=expires_at)
        _, body = self._ask("GET", target, "the list of objects")
        try:
            return _page(json.loads(body), after, limit)
        except (ValueError, KeyError, TypeError, RecursionError, InvalidKey):
            raise StoreUnavailable(f"what the store at {self._base_url} answered is not a list of objects") from None

    def __repr__(self) -> str:
        """Shows where the service is."""
        return f"LocalObjectStore({self._base_url})"

    def _sign(self, method: str, key: str, expires_in_seconds: float, size_bytes: int | None) -> SignedRequest:
        if not 0 < expires_in_seconds <= _MAX_EXPIRES_IN_SECONDS:
            raise ValueError(f"a signed URL lives more than 0 and at most {_MAX_EXPIRES_IN_SECONDS} seconds")
        expires_at = self._clock() + round(expires_in_seconds * 1000)
        target = signed_target(self._secrets, method, key, expires_at=expires_at, size_bytes=size_bytes)
        headers = {} if size_bytes is None else {"Content-Length": str(size_bytes)}
        return SignedRequest(method, self._base_url + target, headers, expires_at)

    def _target(self, method: str, key: str) -> str:
        return self._sign(method, key, _OWN_REQUESTS_SECONDS, None).url.removeprefix(self._base_url)

    def _ask(self, method: str, target: str, what: str) -> tuple[http.client.HTTPMessage, bytes]:
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_seconds)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            body = response.read(_MAX_PAGE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            reason = type(error).__name__
            raise StoreUnavailable(f"no answer from the store at {self._base_url}: {reason}") from None
        finally:
            connection.close()
        if response.status < 300:
            return response.headers, body
        code = response.headers.get(CODE_HEADER)
        kind_of_error = error_for_code(code) or (StoreUnavailable if response.status >= 500 else StoreError)
        raise kind_of_error(f"the store at {self._base_url} answered {response.status} ({code}) to {method} of {what}")


def _page(value: Any, after: str, limit: int) -> ObjectPage:
    """A page as the service tells it.

    Raises:
        Exception: It is none, or not one that goes on from `after`.
    """
    objects = tuple(
        StoredObject(check_key(entry["key"]), int(entry["size_bytes"]), int(entry["modified_at"]))
        for entry in value["objects"]
    )
    following = None if value["next"] is None else check_key(value["next"])
    keys = [after, *(stored.key for stored in objects)]
    # In order and never back: or a store that is broken would be listed for ever.
    if len(objects) > limit or keys != sorted(set(keys)) or (following is not None and following <= after):
        raise ValueError("not a page after the last one")
    return ObjectPage(objects, following)
