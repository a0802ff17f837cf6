"""Programs that the demonstration on Kubernetes asks."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from k8s.commands import CommandFailed, ProgramMissing, call, lines

PYTHON = (sys.executable, "-c")


async def test_a_program_gets_its_input_and_its_output_comes_back() -> None:
    assert await call(*PYTHON, "print(input()[::-1])", given="abc", timeout_seconds=20) == "cba\n"


async def test_a_failure_says_which_program_and_what_it_said() -> None:
    script = "import sys; print('half'); sys.exit('no such thing')"
    with pytest.raises(CommandFailed, match="no such thing") as failed:
        await call(*PYTHON, script, timeout_seconds=20)
    assert failed.value.code == 1
    assert failed.value.output == "half\n"
    assert sys.executable in str(failed.value)


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramMissing, match="no-such-program is not installed"):
        await call("no-such-program", timeout_seconds=20)


async def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "ended"
    script = (
        "import pathlib, signal, sys\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(told)!r}).touch(), sys.exit()))\n"
        "signal.pause()"
    )
    with pytest.raises(CommandFailed, match="has not ended after 2 s"):
        await call(*PYTHON, script, timeout_seconds=2)
    assert told.exists()


async def test_lines_come_while_the_program_runs_and_a_failure_after_them() -> None:
    script = "import sys; print('one', flush=True); print('two', flush=True); sys.exit('broken')"
    reading = lines(*PYTHON, script)
    assert [await anext(reading), await anext(reading)] == ["one", "two"]
    with pytest.raises(CommandFailed, match="broken"):
        await anext(reading)


async def test_whoever_stops_reading_ends_the_program() -> None:
    reading = lines(*PYTHON, "import os, signal; print(os.getpid(), flush=True); signal.pause()")
    pid = int(await anext(reading))
    await reading.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
