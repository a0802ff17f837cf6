"""A real versitygw in a process of its own, for tests that need an S3 server."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from consilo.store.local import wall_clock
from consilo.store.s3 import S3ObjectStore
from consilo.store.s3_settings import S3Settings
from services.local import s3_server

BUCKET = "consilo-tests"
SECRET_KEY = "a secret of the tests, which nothing else uses".replace(" ", "-")
REQUIRED = "CONSILO_REQUIRE_VERSITYGW"
DEADLINE_SECONDS = 20


@dataclass
class RunningS3:
    """An S3 server that listens, its directory, and the settings by which an adapter finds its bucket."""

    process: subprocess.Popen[bytes]
    url: str
    directory: Path
    log_file: Path
    settings: S3Settings

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def adapter(self, later_ms: int = 0, **changes: object) -> S3ObjectStore:
        """Signs as if it were so many milliseconds later, with some settings changed."""
        settings = S3Settings.model_validate({**self.settings.model_dump(), **changes})
        return S3ObjectStore(settings, clock=lambda: wall_clock() + later_ms)

    def files(self) -> set[str]:
        """Paths of all files below the bucket."""
        bucket = self.directory / BUCKET
        return {str(path.relative_to(bucket)) for path in bucket.rglob("*") if not path.is_dir()}


def need_versitygw() -> None:
    """Skips the test when there is no versitygw on PATH, or fails it where one is required."""
    if shutil.which(s3_server.PROGRAM) is not None:
        return
    untested = f"NOT TESTED: the S3 object store, because {s3_server.MISSING}"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{untested} ({REQUIRED}=1)")
    pytest.skip(untested)


@contextmanager
def running_s3(base: Path) -> Iterator[RunningS3]:
    """Starts a versitygw on a free port with its files below `base`, and ends it after the block if it still runs."""
    directory, log_file = base / "buckets", base / "log"
    access_key_file, secret_key_file = base / "access-key", base / "secret-key"
    access_key_file.write_text("tests\n")
    secret_key_file.write_text(f"{SECRET_KEY}\n")
    s3_server.make_bucket(directory, BUCKET)
    with (
        log_file.open("ab") as log,
        subprocess.Popen(
            s3_server.command(0, directory),
            env=s3_server.environment("tests", SECRET_KEY),
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{_port(process, log_file)}"
            settings = S3Settings(
                public_endpoint_url=url,
                bucket=BUCKET,
                prefix="models/of-tests",
                access_key_file=access_key_file,
                secret_key_file=secret_key_file,
                max_object_bytes=64 << 20,
                max_attempts=1,
            )
            yield RunningS3(process, url, directory, log_file, settings)
        finally:
            if process.poll() is None:
                process.kill()


def _port(process: subprocess.Popen[bytes], log_file: Path) -> int:
    tick = threading.Event()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        port = s3_server.listening_port(process.pid)
        if port is not None:
            return port
        tick.wait(0.01)
    raise AssertionError(f"versitygw did not start: {log_file.read_text()}")
