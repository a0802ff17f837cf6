"""Jobs as processes of this machine: the second implementation of the port `JobRunner`. They outlive who makes them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from services.client.jobs.runner import JobEnd, JobState, JobToStart, RunnerUnusable

ROOT = Path(__file__).parents[1]


class JobProcesses:
    """Jobs whose files are in a directory, for as many clients, one after the other, as use it.

    `unusable` is why no request is answered now; `overdue` are names of Jobs whose deadline is over; `patience_seconds`
    is the Jobs'.
    """

    def __init__(self, directory: Path, *, patience_seconds: float = 30.0) -> None:
        self.directory = directory
        self.unusable: str | None = None
        self.waiting: str | None = None
        self.overdue: set[str] = set()
        self.patience_seconds = patience_seconds
        self.closed = False
        directory.mkdir(exist_ok=True)

    async def start(self, job: JobToStart) -> str:
        self._check()
        await self.delete(job.name, None)
        uid = secrets.token_hex(8)
        place = self.directory / job.name
        place.mkdir()
        (place / "models").mkdir()
        (place / "token").write_text(job.token)
        (place / "member").write_text(job.member)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "CONSILO_JOB_URL": job.url,
            "CONSILO_JOB_TOKEN_FILE": str(place / "token"),
            "CONSILO_JOB_DIRECTORY": str(place / "models"),
            "CONSILO_JOB_PATIENCE_SECONDS": str(self.patience_seconds),
            "CONSILO_JOB_HEARTBEAT_SECONDS": "0.2",
            "CONSILO_JOB_TIMEOUT_SECONDS": "5",
        }
        (place / "environment.json").write_text(json.dumps(environment))
        (place / "uid").write_text(uid)
        await asyncio.to_thread(_spawn, place)
        return uid

    async def look(self, name: str, uid: str) -> JobState | None:
        self._check()
        place = self.directory / name
        if not place.exists() or (place / "uid").read_text() != uid:
            return None
        if name in self.overdue:
            return JobState(uid, "failed", is_overdue=True)
        status = _read(place / "status")
        if status is not None:
            return JobState(uid, "succeeded" if status == "0" else "failed")
        return JobState(uid, "waiting" if self.waiting else "running", reason=self.waiting)

    async def explain(self, name: str, uid: str) -> JobEnd:
        self._check()
        place = self.directory / name
        status = _read(place / "status")
        lines = (_read(place / "log") or "").splitlines()
        return JobEnd(exit_code=None if status is None else int(status), log=tuple(lines[-50:]))

    async def delete(self, name: str, uid: str | None) -> None:
        self._check()
        place = self.directory / name
        if not place.exists() or uid not in {None, (place / "uid").read_text()}:
            return
        with suppress(ProcessLookupError):
            os.killpg(int((place / "group").read_text()), signal.SIGTERM)
        place.rename(self.directory / f".{name}-{secrets.token_hex(4)}")

    async def jobs(self, member: str) -> dict[str, str]:
        self._check()
        return {
            name: (self.directory / name / "uid").read_text()
            for name in self.names()
            if (self.directory / name / "member").read_text() == member
        }

    async def close(self) -> None:
        self.closed = True

    # For tests

    def names(self) -> list[str]:
        """The Jobs that are there."""
        return sorted(path.name for path in self.directory.iterdir() if not path.name.startswith("."))

    def pid(self, name: str) -> int | None:
        """The process of a Job's program, once it has begun."""
        text = _read(self.directory / name / "pid")
        return int(text) if text else None

    def token(self, name: str) -> str:
        return (self.directory / name / "token").read_text()

    def logs(self) -> str:
        """The logs of all Jobs, also of those that were deleted."""
        return "".join(path.read_text() for path in self.directory.glob("*/log"))

    def pids(self) -> list[int]:
        """The processes of all Jobs, also of those that were deleted."""
        return [int(path.read_text()) for path in self.directory.glob("*/pid")]

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for path in self.directory.glob("*/group"):
            with suppress(ProcessLookupError):
                os.killpg(int(path.read_text()), signal.SIGKILL)

    def _check(self) -> None:
        if self.unusable is not None:
            raise RunnerUnusable(self.unusable)


def _spawn(place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.job_process", str(place)], cwd=ROOT, start_new_session=True
    )
    (place / "group").write_text(str(process.pid))
    # Its end is seen in a file; that nobody waits for it is no leak worth a warning.
    process.returncode = 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
