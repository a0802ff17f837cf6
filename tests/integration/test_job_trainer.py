"""Trainings in Jobs: a real listener, and the real program of a Job as a process of this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consilo.aggregation import read_artifact, schema_of
from consilo.training.errors import (
    TaskFailed,
    TaskNotFound,
    TaskTimedOut,
    TaskVersionMismatch,
    WorkerDied,
)
from services.client.jobs.runner import RunnerUnusable
from tests.integration.consortium import until_true
from tests.integration.job_play import WEIGHTS, JobPlay, alive, digest


@pytest.fixture
def play(tmp_path: Path) -> Iterator[JobPlay]:
    play = JobPlay(tmp_path)
    yield play
    play.jobs.kill_all()


async def test_a_job_trains_and_then_evaluates_the_same_global(play: JobPlay) -> None:
    async with play.office() as office:
        trainer = play.trainer(office)
        reply = await play.train(trainer)
        assert (reply.num_samples, reply.metrics) == (10, {"loss": 0.5})
        assert reply.sha256 == digest(play.output)
        assert read_artifact(play.output, schema_of(WEIGHTS))["weights"].tolist() == [4, 4]
        evaluation = await play.evaluate(trainer)
        assert (evaluation.num_samples, evaluation.metrics) == (4, {"weight": 0.0})
        assert len(play.jobs.names()) == len(play.lines("loads")) == 1
        (name,) = play.jobs.names()
        assert name.startswith("consilo-silo-trial-r3-")
        await until_true(lambda: (play.jobs.directory / name / "status").exists(), "the Job to end")
        assert (play.jobs.directory / name / "status").read_text() == "0"
        await trainer.close()
        assert (play.jobs.names(), play.remembered()) == ([], [])


async def test_progress_is_told_while_a_job_trains(play: JobPlay) -> None:
    async with play.office() as office:
        with play.held():
            training = await play.begin(play.trainer(office))
            await until_true(lambda: bool(play.progress) and play.progress[-1].fraction == 0.5, "progress")
            assert play.progress[-1].metrics == {"loss": 0.25}
        await training


async def test_without_evaluations_a_job_only_trains(play: JobPlay) -> None:
    async with play.office() as office:
        await play.train(play.trainer(office, evaluates=False))
        (name,) = play.jobs.names()
        await until_true(lambda: (play.jobs.directory / name / "status").exists(), "the Job to end")
        assert "evaluated" not in play.jobs.logs()


async def test_a_global_that_was_not_trained_on_is_evaluated_by_a_job_of_its_own(play: JobPlay) -> None:
    async with play.office() as office:
        trainer = play.trainer(office)
        assert (await play.evaluate(trainer)).metrics == {"weight": 0.0}
        assert [name.rpartition("-")[0] for name in play.jobs.names()] == ["consilo-silo-trial-evaluation"]
        assert play.lines("trainings") == []
        await trainer.close()


async def test_the_next_round_has_a_job_of_its_own_and_the_last_one_is_deleted(play: JobPlay) -> None:
    async with play.office() as office:
        trainer = play.trainer(office)
        await play.train(trainer, round=3)
        (first,) = play.jobs.names()
        await play.train(trainer, round=4)
        (second,) = play.jobs.names()
        assert first != second
        assert play.remembered() == [second]


async def test_a_job_and_its_worker_get_nothing_that_they_need_not_have(play: JobPlay) -> None:
    with capture_logs() as logs:
        async with play.office() as office:
            await play.train(play.trainer(office))
    (name,) = play.jobs.names()
    token = play.jobs.token(name)
    environment = (play.directory / "environment.json").read_text()
    assert "CONSILO_" not in environment
    for text in (environment, str(logs), play.jobs.logs()):
        assert token not in text
    remembered = [path for path in (play.directory / "jobs").rglob("*") if path.is_file()]
    assert remembered
    assert not [path for path in remembered if token.encode() in path.read_bytes()]


# -- Failures --


async def test_a_task_that_fails_is_told_with_its_traceback_and_the_jobs_log(play: JobPlay) -> None:
    (play.directory / "fail").touch()
    async with play.office() as office:
        with capture_logs() as logs, pytest.raises(TaskFailed, match="the scanner is away") as failure:
            await play.train(play.trainer(office))
        assert any("client_tasks.py" in line for line in failure.value.details)
        told = next(line for line in logs if line["event"] == "the log of a Job that failed")
        assert any("the scanner is away" in line for line in told["lines"])
        assert (play.jobs.names(), play.remembered()) == ([], [])


@pytest.mark.parametrize(
    ("task", "error"),
    [("tests.nothing:There", TaskNotFound), ("tests.unit.training.example_tasks:Mean", TaskVersionMismatch)],
    ids=["no-task", "another-version"],
)
async def test_an_image_without_the_task_is_told(play: JobPlay, task: str, error: type[Exception]) -> None:
    async with play.office() as office:
        with pytest.raises(error, match="install"):
            await play.train(play.trainer(office, task=task))


async def test_a_training_that_takes_too_long_is_told(play: JobPlay) -> None:
    async with play.office() as office:
        with play.held(), pytest.raises(TaskTimedOut):
            await play.train(play.trainer(office, limits={"train_timeout_seconds": 0.2}))


async def test_a_job_that_is_killed_is_told_with_its_log_and_another_one_is_made(play: JobPlay) -> None:
    async with play.office() as office:
        trainer = play.trainer(office)
        with play.held():
            training = await play.begin(trainer)
            (name,) = play.jobs.names()
            os.kill(play.jobs.pid(name) or 0, signal.SIGKILL)
            with pytest.raises(WorkerDied, match="ended with status -9") as failure:
                await training
        assert any("ordered" in line for line in failure.value.details)
        assert play.jobs.names() == []
        assert (await play.train(trainer)).num_samples == 10
        assert play.jobs.names() == [name]


async def test_a_job_that_is_told_to_end_says_so_and_gives_nothing(play: JobPlay) -> None:
    async with play.office() as office:
        with play.held():
            training = await play.begin(play.trainer(office))
            (name,) = play.jobs.names()
            os.kill(play.jobs.pid(name) or 0, signal.SIGTERM)
            with pytest.raises(WorkerDied, match="ended with status 143 without a result: it was told to end"):
                await training


async def test_a_job_past_its_deadline_is_told(play: JobPlay) -> None:
    async with play.office(deadline_seconds=77) as office:
        with play.held():
            training = await play.begin(play.trainer(office))
            play.jobs.overdue.update(play.jobs.names())
            with pytest.raises(TaskTimedOut, match="within 77 s"):
                await training
        assert play.jobs.names() == []


async def test_a_job_that_somebody_deleted_is_told(play: JobPlay) -> None:
    async with play.office() as office:
        with play.held():
            training = await play.begin(play.trainer(office))
            (name,) = play.jobs.names()
            await play.jobs.delete(name, None)
            with pytest.raises(WorkerDied, match="not by this silo"):
                await training


async def test_a_runner_that_cannot_be_reached_is_told_and_a_running_job_is_waited_for(play: JobPlay) -> None:
    async with play.office() as office:
        trainer = play.trainer(office)
        with capture_logs() as logs:
            with play.held():
                training = await play.begin(trainer)
                play.jobs.unusable = "the cluster is away"
                await until_true(
                    lambda: any(line["event"] == "a Job cannot be looked after" for line in logs), "the client to look"
                )
            assert (await training).num_samples == 10
        with pytest.raises(RunnerUnusable):
            await office.check()


async def test_a_training_waits_until_a_job_can_be_made(play: JobPlay) -> None:
    play.jobs.unusable = "the cluster is away"
    async with play.office(retry_seconds=0.05) as office:
        trainer = play.trainer(office)
        with pytest.raises(WorkerDied, match="the cluster is away"):
            await play.evaluate(trainer)
        with capture_logs() as logs:
            training = asyncio.create_task(play.train(trainer))
            await until_true(
                lambda: any(line["event"] == "no Job can be made; trying again" for line in logs), "the first try"
            )
            play.jobs.unusable = None
            assert (await training).num_samples == 10


async def test_why_a_job_waits_is_told_once(play: JobPlay) -> None:
    play.jobs.waiting = "Unschedulable: 0/1 nodes are available"
    async with play.office() as office:
        with capture_logs() as logs, play.held():
            training = await play.begin(play.trainer(office))
            await until_true(lambda: any(line["event"] == "a Job waits" for line in logs), "the reason")
            (play.directory / "hold").unlink()
            await training
    assert [line["reason"] for line in logs if line["event"] == "a Job waits"] == [play.jobs.waiting]


# -- Cancelling --


async def test_a_training_that_is_wanted_no_more_is_deleted_and_its_processes_end(play: JobPlay) -> None:
    async with play.office() as office:
        with play.held():
            training = await play.begin(play.trainer(office))
            worker, (job,) = int(play.lines("loads")[0]), play.jobs.pids()
            training.cancel()
            with pytest.raises(asyncio.CancelledError):
                await training
            assert (play.jobs.names(), play.remembered()) == ([], [])
            await until_true(lambda: not alive(job) and not alive(worker), "the Job's processes to end")


async def test_a_training_that_is_cancelled_while_its_job_is_being_made_leaves_none(play: JobPlay) -> None:
    async with play.office() as office:
        await office.tidied()
        making = asyncio.create_task(play.train(play.trainer(office)))
        await until_true(lambda: play.remembered() != [], "the Job to be about to be made")
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert (play.jobs.names(), play.remembered()) == ([], [])


async def test_a_job_that_could_not_be_deleted_ends_by_itself_and_is_deleted_later(play: JobPlay) -> None:
    async with play.office(retry_seconds=0.05) as office:
        with play.held():
            training = await play.begin(play.trainer(office))
            (name,) = play.jobs.names()
            play.jobs.unusable = "the cluster is away"
            training.cancel()
            with pytest.raises(asyncio.CancelledError):
                await training
            await until_true((play.jobs.directory / name / "status").exists, "the Job to end")
            assert (play.jobs.directory / name / "status").read_text() == "3"
            play.jobs.unusable = None
            await until_true(lambda: not play.jobs.names(), "the Job to be deleted")
