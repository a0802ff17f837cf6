"""Programs that are asked to do something, and what they say. Starts processes.

A program that is still running when its caller is cancelled is ended.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

END_SECONDS: Final = 10.0
"""How long a program may take to end when it is told to, before it is killed."""

_MOST_LINE_BYTES: Final = 1 << 24


class CommandFailed(Exception):
    """A program did not do what it was asked. The message says which, and what it said.

    Attributes:
        code: its exit code; None when it was ended because it took too long.
        said: its standard error, or its standard output when that is empty.
        output: its standard output.
    """

    def __init__(self, message: str, *, code: int | None = None, said: str = "", output: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.said = said
        self.output = output


class ProgramMissing(CommandFailed):
    """A program that is needed is not installed."""


async def call(*command: str, given: str | None = None, timeout_seconds: float) -> str:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        given: for its standard input.
        timeout_seconds: how long it may take.

    Returns:
        Its standard output.

    Raises:
        ProgramMissing: it is not installed.
        CommandFailed: it ended with another exit code than 0, or not in time.
    """
    async with _started(command, has_input=given is not None) as process:
        try:
            async with asyncio.timeout(timeout_seconds):
                output, errors = await process.communicate(None if given is None else given.encode())
        except TimeoutError:
            raise CommandFailed(f"`{shown(command)}` has not ended after {timeout_seconds:.0f} s") from None
    text, said = output.decode(errors="replace"), errors.decode(errors="replace").strip()
    if process.returncode != 0:
        said = said or text.strip()
        raise CommandFailed(f"`{shown(command)}`: {said}", code=process.returncode, said=said, output=text)
    return text


async def lines(*command: str) -> AsyncGenerator[str, None]:
    """The lines that a program writes to its standard output, as they come. Whoever stops reading must close it.

    Raises:
        ProgramMissing: it is not installed.
        CommandFailed: it ended with another exit code than 0.
    """
    async with _started(command, has_input=False) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        assert process.stderr is not None  # noqa: S101 - a pipe was asked for
        errors = asyncio.ensure_future(process.stderr.read())
        try:
            async for line in process.stdout:
                yield line.decode(errors="replace").rstrip("\n")
            code, said = await process.wait(), (await errors).decode(errors="replace").strip()
        finally:
            errors.cancel()
        if code != 0:
            raise CommandFailed(f"`{shown(command)}`: {said}", code=code, said=said)


def shown(command: Sequence[str]) -> str:
    """The command for people, not too long."""
    text = " ".join(command)
    return text if len(text) <= 200 else text[:200] + "..."


@asynccontextmanager
async def _started(command: Sequence[str], *, has_input: bool) -> AsyncIterator[asyncio.subprocess.Process]:
    if shutil.which(command[0]) is None:
        raise ProgramMissing(f"{command[0]} is not installed, or not on PATH")
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE if has_input else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_MOST_LINE_BYTES,
        start_new_session=True,  # Ctrl-C is for the program that started it, which then ends it in order
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
