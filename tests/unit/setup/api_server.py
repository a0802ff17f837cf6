"""An API server that knows Secrets alone, on loopback: enough of Kubernetes for its official client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_PATH: Final = "/api/v1/namespaces/somewhere/secrets"


class ApiServer(ThreadingHTTPServer):
    """Keeps Secrets as they were sent.

    Attributes:
        secrets: name -> the object.
        answer: status of every answer in place of the right one; None: the right one.
        silent: whether requests are never answered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secrets: dict[str, dict[str, Any]] = {}
        self.answer: int | None = None
        self.silent = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = self.server.secrets.get(self.path.removeprefix(f"{_PATH}/"))
        self._answer(404 if found is None else 200, found or {"kind": "Status"})

    def do_POST(self) -> None:
        assert self.path == _PATH
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = sent["metadata"]["name"]
        is_there = name in self.server.secrets
        if not is_there and self.server.answer is None:
            self.server.secrets[name] = sent
        self._answer(409 if is_there else 201, sent)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        if self.server.silent.is_set():
            return
        body = json.dumps(content).encode()
        self.send_response(self.server.answer or status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """A running one."""
    with ApiServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
