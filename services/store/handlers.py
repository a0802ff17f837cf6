"""What the store does for each request. Decides; bytes are moved by `connection.py`, files kept by `objects.py`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

from consilo.store.errors import TooLarge
from consilo.store.local import DIGEST_HEADER
from consilo.store.port import ObjectInfo
from consilo.store.signing import LIST_PATH, OBJECTS_PATH, SignedTarget, SigningSecrets, verify_list, verify_target
from services.store.connection import Connection
from services.store.objects import ObjectDirectory
from services.store.wire import Problem, RequestHead

_TEXT: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8"}


class Handlers:
    """Answers requests for objects and for the service's health. Threads may share it."""

    def __init__(
        self,
        objects: ObjectDirectory,
        secrets: SigningSecrets,
        *,
        max_object_bytes: int,
        clock: Callable[[], int],
    ) -> None:
        """Takes what requests are answered from.

        Args:
            objects: The objects.
            secrets: That URLs may be signed with.
            max_object_bytes: Largest object taken.
            clock: Milliseconds since 1970-01-01 UTC.
        """
        self._objects = objects
        self._secrets = secrets
        self._max_object_bytes = max_object_bytes
        self._clock = clock

    def handle(self, head: RequestHead, connection: Connection) -> None:
        """Answers one request, or raises what the answer to it is.

        Raises:
            Problem: The request is not one that is served.
            StoreError: It is refused or cannot be done.
            ClientGone: There is nobody to answer.
        """
        if head.method != "PUT" and head.content_length:
            raise Problem(400, "bad-request", f"a {head.method} has no body")
        if head.path == LIST_PATH:
            self._list(head, connection)
            return
        if not head.path.startswith(OBJECTS_PATH):
            self._handle_health(head, connection)
            return
        handlers = {"GET": self._get, "HEAD": self._head, "PUT": self._put, "DELETE": self._delete}
        handler = handlers.get(head.method)
        if handler is None:
            allowed = ", ".join(handlers)
            raise Problem(405, "method-not-allowed", f"objects take {allowed}", {"Allow": allowed})
        handler(verify_target(self._secrets, head.method, head.target, now=self._clock()), head, connection)

    def handle_when_crowded(self, head: RequestHead, connection: Connection) -> None:
        """Answers like `handle`, but of all requests only those for the service's health."""
        if head.path == LIST_PATH or head.path.startswith(OBJECTS_PATH):
            raise Problem(
                503, "store-unavailable", "all connections are in use: try again shortly", {"Retry-After": "1"}
            )
        self.handle(head, connection)

    def _handle_health(self, head: RequestHead, connection: Connection) -> None:
        if head.target not in ("/livez", "/readyz"):
            raise Problem(404, "not-found", "this service has /objects, /objects/<key>, /livez and /readyz")
        if head.method != "GET":
            raise Problem(405, "method-not-allowed", "health pages take GET", {"Allow": "GET"})
        if head.target == "/readyz" and not self._objects.is_writable():
            raise Problem(503, "store-unavailable", "the directory of objects cannot be written to, or is full")
        connection.answer(200, {**_TEXT, "Content-Length": "3"}, b"ok\n")

    def _list(self, head: RequestHead, connection: Connection) -> None:
        if head.method != "GET":
            raise Problem(405, "method-not-allowed", "the list of objects takes GET", {"Allow": "GET"})
        asked = verify_list(self._secrets, head.target, now=self._clock())
        body = json.dumps(asdict(self._objects.list(asked.after, asked.limit))).encode("ascii")
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": str(len(body))}
        connection.answer(200, headers, body)

    def _get(self, target: SignedTarget, head: RequestHead, connection: Connection) -> None:
        with self._objects.open(target.key) as (descriptor, info):
            connection.answer_file(_describe(info), descriptor, info.size_bytes)

    def _head(self, target: SignedTarget, head: RequestHead, connection: Connection) -> None:
        info = self._objects.info(target.key)
        connection.answer(200, {**_describe(info), "Content-Length": str(info.size_bytes)})

    def _put(self, target: SignedTarget, head: RequestHead, connection: Connection) -> None:
        size_bytes = target.size_bytes
        if head.content_length is None or size_bytes is None:
            raise Problem(411, "length-required", "send a Content-Length of exactly the size that was signed")
        if head.content_length > size_bytes:
            raise TooLarge(f"the URL was signed for {size_bytes} bytes, not for {head.content_length}")
        if head.content_length < size_bytes:
            detail = f"the URL was signed for {size_bytes} bytes, not for {head.content_length}"
            raise Problem(400, "size-mismatch", detail)
        if size_bytes > self._max_object_bytes:
            raise TooLarge(f"this store takes objects of at most {self._max_object_bytes} bytes")
        with self._objects.receive(target.key, size_bytes) as incoming:
            connection.receive(head, incoming)
            digest = incoming.publish()
        connection.answer(201, {DIGEST_HEADER: digest, "Content-Length": "0"})

    def _delete(self, target: SignedTarget, head: RequestHead, connection: Connection) -> None:
        self._objects.delete(target.key)
        connection.answer(204, {})


def _describe(info: ObjectInfo) -> dict[str, str]:
    headers = {"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
    if info.sha256 is not None:
        headers[DIGEST_HEADER] = info.sha256
    return headers
