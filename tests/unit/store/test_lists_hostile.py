"""A store that answers a list with something else: nothing is taken from it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from consilo.store.errors import StoreUnavailable
from consilo.store.local import LocalObjectStore
from consilo.store.signing import SigningSecrets


@contextmanager
def answering(body: bytes) -> Iterator[LocalObjectStore]:
    """An adapter of a store that gives this answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield LocalObjectStore(f"http://127.0.0.1:{server.server_port}", SigningSecrets([b"s" * 32]))
        thread.join()


def page(*keys: str, following: Any = None) -> bytes:
    objects = [{"key": key, "size_bytes": 1, "modified_at": 1} for key in keys]
    return json.dumps({"objects": objects, "next": following}).encode()


def test_a_good_page_is_taken() -> None:
    with answering(page("b", "c", following="c")) as store:
        found = store.list("a", 2)
    assert ([each.key for each in found.objects], found.next) == (["b", "c"], "c")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        page("../b"),
        page("b", "b"),
        page("c", "b"),
        page("a"),
        page("b", "c", "d"),
        page("b", following="a"),
        page("b", following=7),
        page("b").replace(b": 1,", b": {},"),
    ],
)
def test_what_is_no_page_that_goes_on_is_refused(body: bytes) -> None:
    with answering(body) as store, pytest.raises(StoreUnavailable, match="not a list of objects"):
        store.list("a", 2)
