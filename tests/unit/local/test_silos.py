"""Waiting for silos to have loaded a task, by their status pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from services.local.embedded_foundation import EmbeddedFoundation
from services.local.processes import Services
from services.local.silos import until_loaded
from services.local.system import System

NONE: dict[str, Any] = {"runs": []}
LOADING: dict[str, Any] = {"runs": [{"run": "digits", "loaded": False, "trouble": None}]}
LOADED: dict[str, Any] = {"runs": [{"run": "digits", "loaded": True, "trouble": None}]}
IN_TROUBLE: dict[str, Any] = {"runs": [{"run": "digits", "loaded": False, "trouble": "task-not-found"}]}
OTHER: dict[str, Any] = {"runs": [{"run": "other", "loaded": True, "trouble": None}]}


@contextmanager
def silo(*pages: Any) -> Iterator[tuple[str, list[str]]]:
    """A status page that says one thing after the other, and then the last one; yields its URL and who asked."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(pages[min(len(asked), len(pages) - 1)]).encode()
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def system_of(directory: Path, *urls: str) -> System:
    silos = {f"Hospital{number}/silo": url for number, url in enumerate(urls)}
    return System([], Services(directory, 1.0), EmbeddedFoundation(directory), {}, silos)


@pytest.mark.parametrize("last", [LOADED, IN_TROUBLE], ids=["loaded", "in-trouble"])
async def test_a_silo_is_asked_until_it_has_loaded_the_task_or_says_why_not(tmp_path: Path, last: Any) -> None:
    with silo(NONE, OTHER, LOADING, last) as (url, asked):
        await until_loaded(system_of(tmp_path, url), "digits", timeout_seconds=30)
        assert asked == ["/v1/status"] * 4


async def test_all_silos_are_waited_for(tmp_path: Path) -> None:
    with silo(LOADED) as (first, _), silo(LOADING, LOADING, LOADED) as (second, asked):
        await until_loaded(system_of(tmp_path, first, second), "digits", timeout_seconds=30)
        assert len(asked) == 3


async def test_nobody_is_waited_for_longer_than_agreed(tmp_path: Path) -> None:
    with silo(LOADING) as (url, _):
        await until_loaded(system_of(tmp_path, url, "http://127.0.0.1:1"), "digits", timeout_seconds=0.3)
