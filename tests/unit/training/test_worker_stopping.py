"""How a training ends before its time: cancelled, killed, crashed, orphaned."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from consilo.training.errors import TaskStopped, TaskTimedOut, WorkerConfused, WorkerDied
from consilo.training.worker_process import WorkerSettings
from tests.unit.training.conftest import MEAN, ROOT, Workplace

DEADLINE_SECONDS = 30.0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def is_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = await asyncio.to_thread(select.select, [descriptor], [], [], DEADLINE_SECONDS)
    finally:
        os.close(descriptor)
    assert ended


async def test_a_cancelled_training_stops_at_its_next_check_and_stays_warm(place: Workplace) -> None:
    await place.prepare("wait-for-stop")
    pid = place.worker.pid
    training = await place.begin_training()
    assert await place.worker.cancel(DEADLINE_SECONDS) is True
    with pytest.raises(TaskStopped) as caught:
        await training
    assert caught.value.code == "training-stopped"
    assert place.worker.pid == pid
    assert not place.output.exists()


async def test_a_task_that_swallows_the_stop_and_returns_has_still_stopped(place: Workplace) -> None:
    await place.prepare("swallow-stop")
    training = await place.begin_training()
    assert await place.worker.cancel(DEADLINE_SECONDS) is True
    with pytest.raises(TaskStopped):
        await training
    assert not place.output.exists()


async def test_a_training_that_does_not_check_is_killed_and_the_next_one_starts_anew(place: Workplace) -> None:
    initial = await place.prepare("hang")
    pid = place.worker.pid
    assert pid is not None
    training = await place.begin_training()
    assert await place.worker.cancel(0.05) is False
    with pytest.raises(TaskStopped, match="killed"):
        await training
    assert not is_alive(pid)
    reply = await place.worker.evaluate(place.base, initial.tensors)  # loads the task again by itself
    assert reply.num_samples == 10
    assert place.worker.pid not in (None, pid)


async def test_cancelling_when_nothing_runs_does_nothing(place: Workplace) -> None:
    assert await place.worker.cancel(0.0) is True
    await place.prepare()
    assert await place.worker.cancel(0.0) is True
    assert (await place.train()).num_samples == 10


async def test_an_earlier_cancellation_does_not_reach_the_next_training(place: Workplace) -> None:
    await place.prepare("wait-for-stop")
    training = await place.begin_training()
    await place.worker.cancel(DEADLINE_SECONDS)
    with pytest.raises(TaskStopped):
        await training
    await place.worker.load(MEAN, parameters={}, data={})
    assert (await place.train()).num_samples == 10


async def test_a_caller_that_gives_up_takes_the_worker_with_it(place: Workplace) -> None:
    await place.prepare("hang")
    pid = place.worker.pid
    assert pid is not None
    training = await place.begin_training()
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    assert not is_alive(pid)


async def test_a_training_over_its_time_limit_is_killed(settings: WorkerSettings, make_workplace: Any) -> None:
    place = await make_workplace(WorkerSettings(environment=settings.environment, train_timeout_seconds=0.2))
    await place.prepare("hang")
    with pytest.raises(TaskTimedOut, match=r"did not finish its train within 0\.2 s"):
        await place.train()
    assert place.worker.pid is None


@pytest.mark.parametrize(
    ("behaviour", "message"), [("end-process", "ended with status 7"), ("crash", "crash in native code")]
)
async def test_a_worker_that_dies_is_reported_and_replaced(place: Workplace, behaviour: str, message: str) -> None:
    initial = await place.prepare(behaviour)
    with pytest.raises(WorkerDied, match=message) as caught:
        await place.train()
    assert caught.value.code == "worker-died"
    assert place.worker.pid is None
    assert (await place.worker.evaluate(place.base, initial.tensors)).num_samples == 10


async def test_a_worker_killed_for_its_memory_is_explained(place: Workplace) -> None:
    await place.prepare("hang")
    training = await place.begin_training()
    assert place.worker.pid is not None
    os.kill(place.worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="out of memory"):
        await training


async def test_a_worker_that_died_while_idle_is_replaced(place: Workplace) -> None:
    await place.prepare()
    pid = place.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await is_gone(pid)
    try:
        reply = await place.train()
    except WorkerDied:  # the event loop had not heard of the death yet
        reply = await place.train()
    assert reply.num_samples == 10


@pytest.mark.parametrize("behaviour", ["confuse", "flood-channel"])
async def test_a_task_that_writes_into_the_protocol_loses_its_worker(
    settings: WorkerSettings, make_workplace: Any, behaviour: str
) -> None:
    place = await make_workplace(WorkerSettings(environment=settings.environment, max_line_bytes=100_000))
    await place.prepare(behaviour)
    with pytest.raises(WorkerConfused) as caught:
        await place.train()
    assert caught.value.code == "worker-confused"
    assert place.worker.pid is None


async def test_closing_ends_the_process_even_while_it_trains(place: Workplace) -> None:
    await place.prepare("hang")
    pid = place.worker.pid
    assert pid is not None
    training = await place.begin_training()
    await place.worker.close()
    assert not is_alive(pid)
    with pytest.raises(WorkerDied):
        await training


PARENT = """
import asyncio, sys
from pathlib import Path
from consilo.training.worker_handle import TrainingWorker
from consilo.training.messages import RoundContext

async def main():
    directory = Path(sys.argv[1])
    worker = TrainingWorker()
    await worker.load("tests.unit.training.example_tasks:Mean", parameters={"behaviour": "hang"}, data={})
    initial = await worker.initial_state(1, directory / "base")
    context = RoundContext(run="trial", round=0, attempt=0, seed=1)
    await worker.train(directory / "base", directory / "output", initial.tensors, context,
                       lambda _: print(worker.pid, flush=True))

asyncio.run(main())
"""


async def test_a_worker_dies_with_its_parent_even_while_it_trains(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        pid = int(await parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    await parent.wait()
    await is_gone(pid)


async def test_a_worker_started_by_nobody_ends_at_once() -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consilo.training.worker", "--parent", "1", stdin=asyncio.subprocess.PIPE, cwd=ROOT
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await worker.wait() == 3


async def test_a_worker_ends_when_its_input_closes_or_makes_no_sense() -> None:
    async def status_after(text: bytes) -> int:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "consilo.training.worker",
            "--parent",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            await worker.communicate(text)
        assert worker.returncode is not None
        return worker.returncode

    assert await status_after(b"") == 0
    assert await status_after(b'{"kind": "train"}\n') == 2
    assert await status_after(b"\xff\n") == 2


async def test_requests_of_several_callers_wait_for_each_other(place: Workplace) -> None:
    initial = await place.prepare()
    started = time.monotonic()
    replies = await asyncio.gather(*(place.worker.evaluate(place.base, initial.tensors) for _ in range(20)))
    assert len({reply.id for reply in replies}) == 20
    assert time.monotonic() - started < DEADLINE_SECONDS
