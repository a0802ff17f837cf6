"""Fabric's commands, run to their end. Starts processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fabric.errors import CommandFailed

_TAIL_CHARACTERS: Final = 3000
TIMEOUT_SECONDS: Final = 60.0
"""How long a command may take, unless told otherwise."""


async def run(
    program: Path,
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> str:
    """Run a command and return its standard output. It gets no environment but the given.

    Raises:
        CommandFailed: it ended with an error, or took too long; the message holds the end of its output.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment or {}),
        start_new_session=True,  # Ctrl-C is for this program, which then ends the command
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output, errors = await process.communicate()
    except TimeoutError:
        raise _failure(program, arguments, f"took longer than {timeout_seconds:g} s", "") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        text = (output + errors).decode(errors="replace")
        raise _failure(program, arguments, f"failed (exit code {process.returncode})", text)
    return output.decode()


def _failure(program: Path, arguments: tuple[str | Path, ...], what: str, text: str) -> CommandFailed:
    words = " ".join(str(argument) for argument in (program.name, *arguments))
    return CommandFailed(f"`{words}` {what}\n{text[-_TAIL_CHARACTERS:]}".rstrip(), text)
