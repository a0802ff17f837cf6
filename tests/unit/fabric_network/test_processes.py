"""Processes that outlive who started them: noted, known again, ended; and never one that is another's."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fabric.errors import PartFailed
from fabric.processes import Part, Process, end, log_tail, look, noted, runs, send, start
from fabric.readiness import until

GRACE_SECONDS = 30.0
WAITS = "import sys, time; print('ready', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + WAITS


def part(directory: Path, program: str, name: str = "peer-HospitalA") -> Part:
    command = (sys.executable, "-c", program)
    return Part(name, command, dict(os.environ), directory / "logs" / name, directory / "processes" / f"{name}.json")


@pytest.fixture
async def waiting(tmp_path: Path) -> AsyncIterator[tuple[Part, Process]]:
    made = part(tmp_path, WAITS)
    process = start(made, ())
    await ready(made, process)
    yield made, process
    await end(process, 0)


async def ready(made: Part, process: Process) -> None:
    async def said() -> bool:
        return b"ready" in made.log.read_bytes()

    await until(said, made, process, "say so", GRACE_SECONDS)


async def test_a_process_is_noted_and_known_again(waiting: tuple[Part, Process]) -> None:
    made, process = waiting
    assert noted(made.note) == process
    seen = look(process)
    assert seen.state == "running"
    assert seen.memory_bytes > 2**20
    assert os.getsid(process.pid) == process.pid  # Ctrl-C in the terminal of who started it is not for it


async def test_it_ends_when_asked(waiting: tuple[Part, Process]) -> None:
    _, process = waiting
    await end(process, GRACE_SECONDS)
    assert not runs(process)
    assert not send(process, signal.SIGTERM)
    await end(process, GRACE_SECONDS)  # a second time is fine


async def test_a_frozen_process_is_seen_as_such_and_ends_when_asked(waiting: tuple[Part, Process]) -> None:
    made, process = waiting
    assert send(process, signal.SIGSTOP)

    async def frozen() -> bool:
        return look(process).state == "frozen"

    await until(frozen, made, process, "freeze", GRACE_SECONDS)
    assert runs(process)
    await end(process, GRACE_SECONDS)
    assert look(process).state == "ended"


async def test_a_process_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    made = part(tmp_path, DEAF)
    process = start(made, ())
    await ready(made, process)
    await end(process, 0.05)
    assert not runs(process)


async def test_a_process_with_the_pid_of_one_that_ended_is_left_alone(waiting: tuple[Part, Process]) -> None:
    _, process = waiting
    before = Process(process.pid, process.started - 1)  # the pid was another's, once
    assert look(before).state == "ended"
    assert not send(before, signal.SIGKILL)
    await end(before, 0)
    assert runs(process)


async def test_it_outlives_the_descriptors_of_who_started_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = start(part(tmp_path, WAITS), [writing])
    os.close(writing)
    assert not os.get_inheritable(reading)
    await end(process, 0)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""  # it was the last to hold the other end


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"pid": 1}', '{"pid": 1, "started": 2, "name": "x"}'], ids=range(6)
)
def test_a_note_that_cannot_be_read_is_of_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "note").write_text(content)
    assert noted(tmp_path / "note") is None
    assert noted(tmp_path / "none") is None
    assert look(None).state == "ended"


async def test_waiting_for_a_process_that_ends_tells_its_last_words(tmp_path: Path) -> None:
    made = part(tmp_path, "raise SystemExit('no such port')")
    process = start(made, ())

    async def never() -> bool:
        return False

    with pytest.raises(PartFailed, match=r"ended by itself(?s:.*)no such port"):
        await until(never, made, process, "listen", GRACE_SECONDS)


async def test_waiting_has_an_end(waiting: tuple[Part, Process]) -> None:
    made, process = waiting

    async def never() -> bool:
        return False

    with pytest.raises(PartFailed, match=r"peer-HospitalA did not listen within 0\.05 s"):
        await until(never, made, process, "listen", 0.05)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    made = Part("orderer0", ("/no/such/program",), {}, tmp_path / "log", tmp_path / "note")
    with pytest.raises(PartFailed, match="orderer0 cannot be started"):
        start(made, ())
    assert "log" in log_tail(tmp_path / "nowhere-log")
