"""The parent's end of one worker process: its start, lines both ways, its log, its death. Async; starts a process.

    start -> send/receive ... -> end, or kill

The child gets only the environment variables that are named, never one of this project's own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from pydantic import ValidationError

from consilo.training.errors import WorkerConfused, WorkerDied
from consilo.training.messages import REPLIES, Reply, Request, line_of

ENVIRONMENT_ALLOWED: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
)
"""Variables of the parent that a worker gets, where they are set."""

_ENVIRONMENT_DEFAULTS: Final = {
    "OMP_NUM_THREADS": "1",  # several silos may share a machine
    "OPENBLAS_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it, CUDA's matrix products differ from run to run
    "PYTHONHASHSEED": "0",  # so that the order of a set does not
}
_OWN_PREFIX: Final = "CONSILO_"
_CHUNK_BYTES: Final = 64 * 1024
_LOG_LINE_BYTES: Final = 2_000
_TAIL_LINES: Final = 20
_LOG_END_SECONDS: Final = 2.0


@dataclass(frozen=True)
class WorkerSettings:
    """Limits of a worker, as its parent enforces them.

    Attributes:
        load_timeout_seconds: for importing the task and loading its data, and for making an initial model.
        evaluate_timeout_seconds: for an evaluation.
        train_timeout_seconds: for a training; None leaves it to the round's end.
        stop_grace_seconds: between asking the process to end and killing it.
        progress_interval_seconds: at least this long between two reports of progress.
        max_line_bytes: of one reply. An initial model's schema is the largest: some 80 bytes for each tensor.
        max_log_lines: of the task's output that are passed on for each request; more are only counted.
        environment: further variables for the worker. None may begin with `CONSILO_`.
    """

    load_timeout_seconds: float = 900.0
    evaluate_timeout_seconds: float = 3600.0
    train_timeout_seconds: float | None = None
    stop_grace_seconds: float = 5.0
    progress_interval_seconds: float = 0.5
    max_line_bytes: int = 32 * 1024 * 1024
    max_log_lines: int = 1_000
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if own := sorted(name for name in self.environment if name.startswith(_OWN_PREFIX)):
            raise ValueError(f"a worker must not get {own[0]}: settings may hold secrets")


class WorkerProcess:
    """One running worker process. Made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, settings: WorkerSettings, name: str) -> None:
        self._process = process
        self._settings = settings
        self._log = structlog.get_logger("consilo.training.worker").bind(worker=name, pid=process.pid)
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._lines_logged = 0
        self._lines_dropped = 0
        self._relay = asyncio.create_task(self._relay_log())

    @classmethod
    async def start(cls, settings: WorkerSettings, name: str) -> WorkerProcess:
        """Start a worker. It dies with the thread that calls this, so call it from one that lasts: the event loop's.

        Raises:
            WorkerDied: the process cannot be started.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "consilo.training.worker",
                "--parent",
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=settings.max_line_bytes,
                env=worker_environment(settings.environment),
                start_new_session=True,  # its children form one group with it, and an interrupt of the parent spares it
            )
        except OSError as error:
            raise WorkerDied(f"the worker process could not be started: {error}") from error
        return cls(process, settings, name)

    @property
    def pid(self) -> int:
        """Process id; also the id of the group in which its children are."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def send(self, request: Request) -> None:
        """Send one request.

        Raises:
            WorkerDied: it has ended.
        """
        self._lines_logged = 0
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(line_of(request))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise await self._death() from None

    async def receive(self) -> Reply:
        """Wait for the next message.

        Raises:
            WorkerDied: it has ended.
            WorkerConfused: it sent something else than a message, and was killed.
        """
        assert self._process.stdout is not None  # noqa: S101
        try:
            line = await self._process.stdout.readline()
        except ValueError:
            await self.kill()
            raise WorkerConfused(f"the worker sent a line of more than {self._settings.max_line_bytes} bytes") from None
        if not line.endswith(b"\n"):
            raise await self._death()
        try:
            return REPLIES.validate_json(line)
        except ValidationError as error:
            await self.kill()
            raise WorkerConfused(f"the worker sent no message of its protocol: {error.errors()[0]['msg']}") from None

    async def end(self) -> None:
        """Close its input, which ends it; kill it when it has not ended within the grace."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.close()
        try:
            async with asyncio.timeout(self._settings.stop_grace_seconds):
                await self._process.wait()
        except TimeoutError:
            pass
        await self.kill()

    async def kill(self) -> None:
        """Kill it and its children, and wait until it has ended."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        # A child that left the group may still hold the other end of the log.
        await asyncio.wait([self._relay], timeout=_LOG_END_SECONDS)
        self._relay.cancel()

    async def _death(self) -> WorkerDied:
        """What is known about how it ended; when only its output ended, it is killed."""
        try:
            async with asyncio.timeout(self._settings.stop_grace_seconds):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            return WorkerDied("the worker closed its output without ending", tuple(self._tail))
        await self.kill()
        return WorkerDied(f"the worker process {_how(self._process.returncode or 0)}", tuple(self._tail))

    async def _relay_log(self) -> None:
        """Pass what the task writes on to the log, line by line, at most so many lines for a request."""
        assert self._process.stderr is not None  # noqa: S101
        rest = b""
        while chunk := await self._process.stderr.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._log_line(line)
            rest = rest[:_LOG_LINE_BYTES]
        if rest:
            self._log_line(rest)
        if self._lines_dropped:
            self._log.warning("task-output-dropped", lines=self._lines_dropped)

    def _log_line(self, line: bytes) -> None:
        text = line[:_LOG_LINE_BYTES].decode("utf-8", "backslashreplace").rstrip("\r")
        self._tail.append(text)
        if self._lines_logged < self._settings.max_log_lines:
            self._lines_logged += 1
            self._log.info("task-output", line=text)
        else:
            self._lines_dropped += 1


def worker_environment(further: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: allowed variables of this process, defaults for reproducible training, `further`."""
    allowed = {name: os.environ[name] for name in ENVIRONMENT_ALLOWED if name in os.environ}
    return {**_ENVIRONMENT_DEFAULTS, **allowed, **further}


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}; a task must not end its process"
    name = signal.Signals(-status).name
    if -status == signal.SIGKILL:
        return f"was killed by {name}; often the machine or its container ran out of memory"
    return f"was ended by {name}, probably by a crash in native code"
