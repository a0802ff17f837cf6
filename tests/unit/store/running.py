"""A real store service in a process of its own, for tests that need one."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consilo.store.local import LocalObjectStore
from consilo.store.signing import SigningSecrets

SECRET = b"a secret of the store's tests, long enough"
DEADLINE_SECONDS = 20


@dataclass
class RunningStore:
    """A store service that listens, its directory, and an adapter that signs for it."""

    process: subprocess.Popen[bytes]
    url: str
    directory: Path
    log_file: Path
    adapter: LocalObjectStore

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def log(self) -> str:
        return self.log_file.read_text()

    def files(self) -> set[str]:
        """Paths of all files below the directory, without the lock."""
        found = {str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if not path.is_dir()}
        return found - {".lock"}

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)


@contextmanager
def running_store(base: Path, *arguments: str) -> Iterator[RunningStore]:
    """Starts `python -m services.store` with its files below `base`, and ends it after the block if it still runs."""
    secret_file, directory, log_file = base / "secrets", base / "objects", base / "log"
    secret_file.write_bytes(SECRET + b"\n")
    command = [sys.executable, "-m", "services.store", "--directory", str(directory), "--secret-file"]
    command += [str(secret_file), "--port", "0", *arguments]
    with (
        log_file.open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the service did not start: {log_file.read_text()}"
            url = json.loads(line)["url"]
            adapter = LocalObjectStore(url, SigningSecrets([SECRET]))
            yield RunningStore(process, url, directory, log_file, adapter)
        finally:
            if process.poll() is None:
                process.kill()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Waits until the condition holds; for what another process does and tells nobody."""
    tick = threading.Event()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
        tick.wait(0.01)
