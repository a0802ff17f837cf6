"""The part of Kubernetes that a silo uses, in memory, over HTTP: for answers that no cluster gives on demand."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]


class KubernetesApi:
    """Jobs, Secrets and pods of one namespace.

    Attributes:
        jobs: by name.
        secrets: by name.
        pods: in any order.
        log: of every pod.
        garbled: whether something else answers, a proxy say.
        refused: status and message of requests, by method and kind, e.g. `POST secrets`.
        requests: what was asked, e.g. `GET jobs/a`.
        stuck: whether Jobs that are deleted stay.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Object] = {}
        self.secrets: dict[str, Object] = {}
        self.pods: list[Object] = []
        self.log = b""
        self.refused: dict[str, tuple[int, str]] = {}
        self.requests: list[str] = []
        self.stuck = False
        self.garbled = False
        self.url = ""
        self._made = 0

    @contextmanager
    def served(self) -> Iterator[KubernetesApi]:
        """Serve it on loopback."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            do_POST = do_GET  # noqa: N815
            do_DELETE = do_GET  # noqa: N815

            def _answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(length)) if length else {}
                status, answer = api.answer(self.command, self.path, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, method: str, url: str, body: Object) -> tuple[int, Object | bytes]:
        parts = urlsplit(url)
        found = re.fullmatch(r"/(?:api/v1|apis/batch/v1)/namespaces/hospital-a/(.+)", parts.path)
        assert found, f"nobody should ask for {url}"
        kind, _, name = found[1].partition("/")
        self.requests.append(f"{method} {found[1]}")
        if self.garbled:
            return 200, b"<html>"
        if refusal := self.refused.get(f"{method} {kind}"):
            return _status(*refusal)
        match method, kind, name:
            case "POST", "jobs", "":
                return self._make(self.jobs, body)
            case "POST", "secrets", "":
                return self._make(self.secrets, body)
            case "GET", "jobs", "":
                return 200, {"items": list(self.jobs.values())}
            case "GET", "jobs", _:
                return (200, self.jobs[name]) if name in self.jobs else _status(404, "not found")
            case "DELETE", "jobs", _:
                return self._delete(name, body)
            case "GET", "pods", "":
                (selector,) = parse_qs(parts.query)["labelSelector"]
                uid = selector.removeprefix("batch.kubernetes.io/controller-uid=")
                return 200, {"items": [pod for pod in self.pods if pod["metadata"]["uid"] == uid]}
            case "GET", "pods", _:
                return 200, self.log
        raise AssertionError(f"nobody should ask for {method} {url}")

    def _make(self, things: dict[str, Object], body: Object) -> tuple[int, Object]:
        name = body["metadata"]["name"]
        if name in things:
            return _status(409, f"{name} already exists")
        self._made += 1
        things[name] = {**body, "metadata": {**body["metadata"], "uid": f"uid-{self._made}"}, "status": {}}
        return 201, things[name]

    def _delete(self, name: str, options: Object) -> tuple[int, Object]:
        if name not in self.jobs:
            return _status(404, "not found")
        assert options["propagationPolicy"] == "Background"
        if options.get("preconditions", {}).get("uid") not in {None, self.jobs[name]["metadata"]["uid"]}:
            return _status(409, "the UID is another one")
        if self.stuck:
            self.jobs[name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            del self.jobs[name]
        return 200, {}

    def kubeconfig(self, file: Path) -> Path:
        """A file that leads to it."""
        named = {"name": "here"}
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{**named, "cluster": {"server": self.url}}],
                    "users": [{**named, "user": {"token": "secret-of-kubernetes"}}],
                    "contexts": [{**named, "context": {"cluster": "here", "user": "here"}}],
                }
            )
        )
        return file


def _status(code: int, message: str) -> tuple[int, Object]:
    return code, {"kind": "Status", "status": "Failure", "message": message, "code": code}
