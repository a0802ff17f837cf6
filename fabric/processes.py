"""Processes that outlive the program that starts them: noted in files, known again by pid and start time, ended by pid.

A pid alone is not enough to end a process: it may be another's by now. So each note holds the start time as well, and
the process is held by a pidfd while it is compared and signalled. Starts, looks at and ends processes; Linux only.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fabric.errors import PartFailed

_LOG_TAIL_BYTES: Final = 3000
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Part:
    """What to start.

    Attributes:
        name: e.g. `peer-HospitalA`.
        command: program and arguments, the program as an absolute path.
        environment: all of it.
        log: file that takes what it writes, appended to.
        note: file that says which process it is.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    note: Path


@dataclass(frozen=True)
class Process:
    """A process, by what no other process ever has: its pid and its start, in clock ticks since the system's."""

    pid: int
    started: int


@dataclass(frozen=True)
class Seen:
    """How a process stands: `running`, `frozen` or `ended`; memory is what is resident."""

    state: str
    memory_bytes: int


def start(part: Part, inherited: Iterable[int]) -> Process:
    """Start a process in a session of its own, and note which it is.

    Args:
        part: what to start.
        inherited: descriptors that the process keeps open.

    Raises:
        PartFailed: it cannot be started.
    """
    part.log.parent.mkdir(parents=True, exist_ok=True)
    part.note.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(part.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    descriptors = list(inherited)
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        pid = os.posix_spawn(
            part.command[0],
            list(part.command),
            dict(part.environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,  # Ctrl-C is not for it
        )
    except OSError as error:
        raise PartFailed(f"{part.name} cannot be started: {error}") from None
    finally:
        os.close(log)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
    fields = _stat(pid)
    process = Process(pid, int(fields[19]) if fields else 0)
    part.note.write_text(json.dumps({"pid": process.pid, "started": process.started}) + "\n")
    return process


def noted(note: Path) -> Process | None:
    """The process that a note is of."""
    try:
        return Process(**json.loads(note.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def look(process: Process | None) -> Seen:
    """See how a process stands; None, and one that was only noted, have ended."""
    fields = _stat(process.pid) if process else None
    if process is None or fields is None or int(fields[19]) != process.started:
        return Seen("ended", 0)
    # A process whose first thread has ended, but not the others, still has its files and sockets.
    if fields[0] in "ZX" and int(fields[17]) <= 1:
        with suppress(ChildProcessError):  # it is not a child of this program, but of one that has ended
            os.waitpid(process.pid, os.WNOHANG)
        return Seen("ended", 0)
    return Seen("frozen" if fields[0] in "Tt" else "running", int(fields[21]) * _PAGE_BYTES)


def runs(process: Process | None) -> bool:
    """Whether a process has not ended; a frozen one has not."""
    return look(process).state != "ended"


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to a process. Returns False if it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not runs(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


async def end(process: Process, grace_seconds: float) -> None:
    """End a process and wait until it has ended: asked first, killed when it does not listen; 0: killed at once."""
    if grace_seconds > 0:
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)  # a frozen process hears nothing
        with suppress(TimeoutError):
            await _ended(process, grace_seconds)
            return
    send(process, signal.SIGKILL)
    await _ended(process, None)


async def _ended(process: Process, timeout_seconds: float | None) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(descriptor, over.set)  # readable once the process has ended
    try:
        if runs(process):
            async with asyncio.timeout(timeout_seconds):
                await over.wait()
        runs(process)  # reaps it, if it is a child
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def log_tail(log: Path) -> str:
    """The end of a log, for an error's message."""
    data = log.read_bytes() if log.exists() else b""
    return f"the end of {log}:\n{data[-_LOG_TAIL_BYTES:].decode(errors='replace')}"


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat after the name: [0] state, [17] threads, [19] start in ticks, [21] resident pages."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
