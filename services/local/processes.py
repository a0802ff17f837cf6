"""Processes of services: started, known to be ready, watched, started again, ended by pid. Starts processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from services.local.together import together

STOP_SECONDS: Final = 15.0
"""How long a service may take to end when it is told to, before it is killed."""

_LOG_TAIL_BYTES: Final = 3000


class ServiceFailed(Exception):
    """A service did not start, or ended by itself. The message holds the end of its log."""


class ProgramMissing(ServiceFailed):
    """A program that is needed is not installed. The message says where it is to be had."""


class Service:
    """One service's process.

    Args:
        name: for people, and of its log file.
        module: that is run, e.g. `services.ledger`.
        arguments: its command line, option by option; None: an option without a value.
        log: file that takes its standard error.
    """

    def __init__(self, name: str, module: str, arguments: Mapping[str, str | None], log: Path) -> None:
        self.name = name
        self.log = log
        self._module = module
        self._arguments = dict(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self.facts: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Base URL, once it is ready."""
        return str(self.facts["url"])

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; negative: by this signal. None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self, timeout_seconds: float) -> None:
        """Start the process and wait until it says that it is ready.

        Raises:
            ServiceFailed: it ended, or did not say so in time.
        """
        command = [sys.executable, "-m", self._module]
        for option, value in self._arguments.items():
            command += [f"--{option}"] if value is None else [f"--{option}", value]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for the program that started it, which then ends it in order
            )
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            async with asyncio.timeout(timeout_seconds):
                line = await stdout.readline()
        except TimeoutError:
            raise ServiceFailed(f"{self.name} was not ready after {timeout_seconds:.0f} s\n{self._tail()}") from None
        if not line:
            raise ServiceFailed(f"{self.name} ended before it was ready\n{self._tail()}")
        self.facts = json.loads(line)
        if "port" in self._arguments:
            self._arguments["port"] = str(self.facts["port"])  # the others know it by now: it stays over restarts

    async def restart(self, timeout_seconds: float) -> None:
        """End the process if it still runs, and start it as it was started at first, on the same port.

        Raises:
            ServiceFailed: it ended, or was not ready in time.
        """
        await self.stop()
        await self.start(timeout_seconds)

    async def kill(self) -> None:
        """End the process with SIGKILL, and wait until it has ended."""
        process = self._running()
        process.kill()
        await process.wait()

    def freeze(self) -> None:
        """Stop the process where it is (SIGSTOP)."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    async def ended(self) -> None:
        """Return never, as long as the process runs.

        Raises:
            ServiceFailed: it ended.
        """
        assert self._process is not None  # noqa: S101 - called after start
        code = await self._process.wait()
        raise ServiceFailed(f"{self.name} ended by itself (exit code {code})\n{self._tail()}")

    async def stop(self) -> None:
        """End the process: asked first, killed when it does not listen."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
            process.send_signal(signal.SIGCONT)  # a frozen process hears nothing
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        process = self._process
        if process is None or process.returncode is not None:
            raise ServiceFailed(f"{self.name} does not run\n{self._tail()}")
        return process

    def _tail(self) -> str:
        data = self.log.read_bytes() if self.log.exists() else b""
        return f"the end of {self.log}:\n{data[-_LOG_TAIL_BYTES:].decode(errors='replace')}"


class Services:
    """All processes of a system, ended together in the reverse order of their start.

    Args:
        logs: directory of the log files, one for each service.
        start_timeout_seconds: for one service to be ready.
        options: by a service's name: what is added to, or replaces, the arguments that it is started with.
    """

    def __init__(
        self,
        logs: Path,
        start_timeout_seconds: float,
        options: Mapping[str, Mapping[str, str | None]] | None = None,
    ) -> None:
        self.logs = logs
        self._start_timeout_seconds = start_timeout_seconds
        self._options = options or {}
        self._at_end: list[Callable[[], Awaitable[None]]] = []
        self.running: dict[str, Service] = {}

    async def start(self, name: str, module: str, arguments: Mapping[str, str | None]) -> Service:
        """Start a service and wait until it is ready.

        Raises:
            ServiceFailed: it is not.
        """
        arguments = {**arguments, **self._options.get(name, {})}
        service = Service(name, module, arguments, self.logs / f"{name}.log")
        self.running[name] = service
        await service.start(self._start_timeout_seconds)
        return service

    async def any_ended(self) -> None:
        """Return never, as long as all run.

        Raises:
            ServiceFailed: one ended.
        """
        await together(service.ended() for service in self.running.values())

    def at_end(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have this called once all have ended, to end what they stood on."""
        self._at_end.append(call)

    async def stop(self) -> None:
        """End all."""
        services = [*self.running.values()][::-1]
        try:
            await asyncio.gather(*(service.stop() for service in services))
            self.running.clear()
        finally:
            while self._at_end:
                await self._at_end.pop()()
