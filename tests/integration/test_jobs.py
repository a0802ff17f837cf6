"""The client service that trains in Jobs, with a real ledger and store; its Jobs are processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.client_play import Play, entry, get, logged, play, trainings
from tests.integration.consortium import Consortium, Service, until_true
from tests.integration.job_play import alive, job_settings
from tests.job_processes import ROOT, JobProcesses


class JobsPlay:
    """A run whose client trains in Jobs."""

    def __init__(self, p: Play, directory: Path) -> None:
        self.p = p
        self.directory = directory
        self.jobs = JobProcesses(directory)
        (directory / ".patience").write_text("30")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @contextmanager
    def client(self, **settings: Any) -> Iterator[Service]:
        job = job_settings(port=self.port).model_dump(mode="json", exclude_defaults=True)
        values = {
            "trainer__mode": "job",
            **{f"trainer__job__{name}": value for name, value in job.items()},
            "worker__environment": json.dumps({"PYTHONPATH": str(ROOT)}),
            "worker__stop_grace_seconds": 2.0,
            **settings,
        }
        os.environ["CONSILO_TEST_JOBS"] = str(self.directory)
        try:
            with self.p.client(module="tests.integration.job_client", **values) as service:
                yield service
        finally:
            del os.environ["CONSILO_TEST_JOBS"]

    def status(self, name: str) -> str | None:
        file = self.directory / name / "status"
        return file.read_text() if file.exists() else None


@asynccontextmanager
async def jobs_play(consortium: Consortium, directory: Path, name: str) -> AsyncIterator[JobsPlay]:
    (directory / "pods").mkdir()
    async with play(consortium, directory, name) as p:
        found = JobsPlay(p, directory / "pods")
        try:
            yield found
        finally:
            found.jobs.kill_all()


async def test_a_silo_trains_a_run_in_jobs_to_its_end_and_nothing_is_left(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "in-jobs") as j:
        await j.p.start()
        with j.client() as client:
            await j.p.published()
            await j.p.reported(0)
            await j.p.next_global({"weights": np.full(2, 1, np.float32)})
            await j.p.published(round=1)
            await j.p.next_global({"weights": np.full(2, 2, np.float32)})
            assert await j.p.reported(0, 1, 2) == {round: {"weight": f"{round}.0"} for round in range(3)}
            await until_true(lambda: not j.jobs.names(), "the Jobs to be deleted")
            assert get(client, "/readyz") == "ok\n"
            assert client.end() == 0
            assert not [line for line in client.log().splitlines() if '"level": "error"' in line]
        assert len(j.p.lines("trainings")) == 2
        assert len(j.p.lines("loads")) == 3  # a Job for each round, and one for the last global
        await until_true(lambda: not any(map(alive, j.jobs.pids())), "the Jobs to end")


async def test_a_client_that_was_killed_finds_its_job_and_does_not_make_another(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "found") as j:
        await j.p.start()
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        (name,) = j.jobs.names()
        assert alive(j.jobs.pid(name) or 0)
        with j.client() as client:
            await until_true(logged(client, "going on with a Job that is there"), "the client to find its Job")
            await until_true(lambda: entry(client, "found")["metrics"] == {"loss": 0.25}, "progress")
            j.p.release()
            await j.p.published()
            await j.p.reported(0)
            assert client.end() == 0
        assert len(j.p.lines("trainings")) == 1
        assert len(j.p.lines("loads")) == 1


async def test_a_job_that_ends_while_its_client_is_away_keeps_its_result_until_it_is_back(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "kept-result") as j:
        await j.p.start(rounds=1)
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        (name,) = j.jobs.names()
        j.p.release()
        log = j.directory / name / "log"
        await until_true(lambda: "cannot be reached; trying again" in log.read_text(), "the training to end")
        with j.client() as client:
            await j.p.published()
            assert client.end() == 0
        assert len(j.p.lines("trainings")) == 1


async def test_a_job_that_serves_other_settings_makes_room_for_one_with_these(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "other") as j:
        await j.p.start(rounds=1)
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        (pid,) = j.jobs.pids()
        with j.client(data=json.dumps({"directory": str(tmp_path), "samples": 12})) as client:
            await trainings(j.p, 2)
            await until_true(lambda: not alive(pid), "the first Job to end")
            j.p.release()
            assert (await j.p.published()).num_samples == 12
            assert client.end() == 0


async def test_a_job_of_a_round_that_is_over_when_the_client_is_back_is_deleted(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "over") as j:
        await j.p.start(with_other=True)
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        (pid,) = j.jobs.pids()
        await j.p.publish_other()
        await j.p.next_global()
        with j.client() as client:
            await trainings(j.p, 2)
            await until_true(lambda: not alive(pid), "the first Job to end")
            j.p.release()
            await j.p.published(round=1)
            assert client.end() == 0


async def test_a_job_whose_client_does_not_come_back_ends_by_itself(consortium: Consortium, tmp_path: Path) -> None:
    async with jobs_play(consortium, tmp_path, "alone") as j:
        (j.directory / ".patience").write_text("0.5")
        await j.p.start()
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        (name,) = j.jobs.names()
        await until_true(lambda: j.status(name) is not None, "the Job to end")
        assert j.status(name) == "4"
        with j.client() as client:
            await trainings(j.p, 2)
            j.p.release()
            await j.p.published()
            assert client.end() == 0


async def test_a_round_goes_on_by_another_job_when_one_is_killed(consortium: Consortium, tmp_path: Path) -> None:
    async with jobs_play(consortium, tmp_path, "killed-job") as j:
        await j.p.start()
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            (name,) = j.jobs.names()
            os.kill(j.jobs.pid(name) or 0, signal.SIGKILL)
            await trainings(j.p, 2)
            j.p.release()
            await j.p.published()
            (failure,) = client.events("failed; trying again")
            assert failure["code"] == "worker-died"
            assert failure["details"]
            assert client.end() == 0


async def test_a_job_is_deleted_when_its_round_closes_without_it(consortium: Consortium, tmp_path: Path) -> None:
    async with jobs_play(consortium, tmp_path, "closed-job") as j:
        await j.p.start(with_other=True)
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            (pid,), (name,) = j.jobs.pids(), j.jobs.names()
            await j.p.publish_other()
            await j.p.close()
            # There may be another by now, which evaluates.
            await until_true(lambda: name not in j.jobs.names() and not alive(pid), "the Job to end")
            j.p.release()
            await j.p.next_global()
            await j.p.published(round=1)
            assert client.end() == 0


async def test_a_training_in_a_job_goes_on_when_only_the_attempt_changes(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "late-job") as j:
        await j.p.start(deadline_ms=200)
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        await j.p.reopen_overdue()
        with j.client() as client:
            await until_true(logged(client, "going on with a Job that is there"), "the client to find its Job")
            assert entry(client, "late-job")["attempt"] == 2
            j.p.release()
            await j.p.published(attempt=2)
            assert client.end() == 0
        assert len(j.p.lines("trainings")) == 1


async def test_an_update_that_was_found_malformed_is_trained_again_by_another_job(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with jobs_play(consortium, tmp_path, "malformed-job") as j:
        await j.p.start(with_other=True)
        with j.client() as client:
            await j.p.published()
            await j.p.publish_other()
            await j.p.reopen("malformed")
            await j.p.published(attempt=2)
            assert client.end() == 0
        assert len(j.p.lines("trainings")) == 2


async def test_a_client_that_is_told_to_end_deletes_its_job(consortium: Consortium, tmp_path: Path) -> None:
    async with jobs_play(consortium, tmp_path, "told") as j:
        await j.p.start()
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            assert client.end() == 0
        assert j.jobs.names() == []
        await until_true(lambda: not any(map(alive, j.jobs.pids())), "the Job to end")


async def test_a_job_that_the_client_does_not_remember_is_deleted(consortium: Consortium, tmp_path: Path) -> None:
    async with jobs_play(consortium, tmp_path, "forgotten") as j:
        await j.p.start()
        j.p.hold()
        with j.client() as client:
            await trainings(j.p, 1)
            client.kill()
        (pid,) = j.jobs.pids()
        with j.client(work_directory=tmp_path / "new-work") as client:
            await until_true(logged(client, "deleting a Job that is not remembered"), "the Job to be deleted")
            await until_true(lambda: not alive(pid), "the Job to end")
            j.p.release()
            await j.p.published()
            assert client.end() == 0


async def test_a_port_that_is_taken_is_told_at_the_start(consortium: Consortium, tmp_path: Path) -> None:
    async with jobs_play(consortium, tmp_path, "taken") as j:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", j.port))
            taken.listen()
            with pytest.raises(AssertionError, match=f"cannot listen for Jobs on 127.0.0.1:{j.port}"), j.client():
                pass
