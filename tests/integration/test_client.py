"""The client service with a real ledger service and store; the tests play operators and aggregator."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np

from consilo.aggregation import read_artifact, schema_of
from consilo.protocol.bodies import StopRun
from consilo.protocol.specification import TaskReference
from consilo.training.task import State
from tests.integration.client_play import WEIGHTS, Play, entry, get, lives, logged, play, trainings
from tests.integration.consortium import Consortium, until_true

READY_TASK = TaskReference(name="digits_linear", version="1", parameters={"local_epochs": 1})
READY_TASKS = json.dumps({"digits_linear@1": "consilo.tasks.digits_linear:DigitsLinear"})


def artifact_file(p: Play, key: str, weights: State = WEIGHTS) -> State:
    """The model of an object in the store."""
    return read_artifact(p.consortium.object_path(key), schema_of(weights))


async def test_a_silo_trains_a_ready_task_to_the_end_of_a_run(consortium: Consortium, tmp_path: Path) -> None:
    initial: State = {"weight": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}
    data = json.dumps({"silo": 1, "silos": 8})
    async with play(consortium, tmp_path, "ready") as p:
        await p.start(task=READY_TASK, initial=initial)
        with p.client(tasks=READY_TASKS, data=data) as client:
            first = await p.published()
            assert first.num_samples > 50
            assert float(first.metrics["accuracy"]) > 0.5
            await p.next_global(artifact_file(p, first.artifact.key, initial))
            second = await p.published(round=1)
            assert float(second.metrics["loss"]) < float(first.metrics["loss"])
            await p.next_global(artifact_file(p, second.artifact.key, initial))
            evaluations = await p.reported(0, 1, 2)
            assert float(evaluations[2]["loss"]) < float(evaluations[0]["loss"])
            await until_true(lambda: not p.models(), "the run's files to be removed")
            assert (get(client, "/livez"), get(client, "/readyz")) == ("ok\n", "ok\n")
            status = entry(client, "ready")
            assert (status["state"], status["phase"], status["round"]) == ("finished", "waiting", 1)
            assert client.end() == 0
            assert not [line for line in client.log().splitlines() if '"level": "error"' in line]


async def test_a_worker_sees_no_secret_and_neither_does_the_log(consortium: Consortium, tmp_path: Path) -> None:
    async with play(consortium, tmp_path, "secrets") as p:
        await p.start(rounds=1)
        with p.client() as client:
            await p.published()
            await p.next_global()
            await p.reported(0, 1)
            assert client.end(signal.SIGINT) == 0
            log = client.log()
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert not [name for name in environment if name.startswith("CONSILO_")]
    identity = str(consortium.identity_directory(p.silo))
    assert not [value for value in environment.values() if identity in value]
    secret = (consortium.directory / "store-secret").read_text().strip()
    for forbidden in ("signature", "Bearer", "eyJ", "expires=", "PRIVATE KEY", secret, "?"):
        assert forbidden not in log, f"{forbidden} in the log"


async def test_a_run_that_is_proposed_has_its_task_loaded_before_it_is_approved(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "proposed") as p:
        with p.client() as client:
            await p.start(approve=False)
            await until_true(lambda: bool(get(client, "/v1/status")["runs"]), "the run to be joined")
            await until_true(lambda: entry(client, "proposed")["loaded"], "the task to be loaded")
            status = entry(client, "proposed")
            assert (status["state"], status["trouble"], status["round"]) == ("proposed", None, None)
            await until_true(lambda: entry(client, "proposed")["phase"] == "waiting", "the loading to be over")
            assert len(p.lines("loads")) == 1
            await p.operator.metadata_publish(StopRun(run="proposed", reason="enough"))
            await until_true(lambda: not entry(client, "proposed")["loaded"], "the worker to be let go")


async def test_a_task_that_cannot_be_loaded_shows_while_the_run_is_only_proposed(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "unloadable") as p:
        tasks = json.dumps({"watched@1": "tests.integration.client_tasks:Missing"})
        with p.client(tasks=tasks) as client:
            await p.start(approve=False)
            await until_true(lambda: bool(get(client, "/v1/status")["runs"]), "the run to be joined")
            await until_true(lambda: entry(client, "unloadable")["trouble"] is not None, "the trouble to show")
            status = entry(client, "unloadable")
            assert (status["trouble"], status["loaded"], status["state"]) == ("task-not-found", False, "proposed")
            (told,) = client.events("the task cannot be loaded ahead")
            assert "no class Missing" in str(told["reason"])


async def test_a_silo_killed_while_it_trains_trains_again_and_publishes_once(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "killed") as p:
        await p.start(rounds=1)
        p.hold()
        with p.client() as client:
            await trainings(p, 1)
            assert entry(client, "killed")["phase"] == "training"
            worker = int(p.lines("loads")[0])
            client.kill()
        await until_true(lambda: not lives(worker), "the worker to end with its client")
        p.release()
        with p.client() as client:
            await p.published()
            assert len(p.lines("trainings")) == 2
            await p.reported(0)
            client.kill()
        with p.client() as client:
            await p.next_global()
            await p.reported(1)
            assert not client.events("update published")
            assert len(p.lines("trainings")) == 2
            assert client.end() == 0


async def test_an_update_that_was_trained_before_a_kill_is_published_without_training_again(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "kept") as p:
        await p.start()
        p.hold()
        try:
            with p.client() as client:
                await trainings(p, 1)
                consortium.store.process.send_signal(signal.SIGSTOP)
                p.release()
                await until_true(logged(client, "trained"), "the training to end")
                await until_true(lambda: entry(client, "kept")["phase"] == "publishing", "the upload to begin")
                client.kill()
        finally:
            consortium.store.process.send_signal(signal.SIGCONT)
        with p.client() as client:
            update = await p.published()
            assert not client.events("trained")
            assert client.end() == 0
        assert p.lines("trainings") == ["kept 0 1"]
        assert artifact_file(p, update.artifact.key)["weights"].tolist() == [1, 1]


async def test_a_training_stops_when_its_round_closes_without_it_and_the_worker_stays_warm(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "closed") as p:
        await p.start(with_other=True)
        p.hold()
        with p.client() as client:
            await trainings(p, 1)
            await until_true(lambda: entry(client, "closed")["metrics"] == {"loss": 0.25}, "progress")
            await p.publish_other()
            await p.close()
            await until_true(lambda: entry(client, "closed")["phase"] == "waiting", "the training to stop")
            p.release()
            status = await p.status()
            assert status.attempt is not None
            assert [update.member for update in status.attempt.updates] == ["HospitalA/silo-other"]
            await p.next_global()
            await p.published(round=1)
            assert client.end() == 0
        assert p.lines("trainings") == ["closed 0 1", "closed 1 1"]
        assert len(p.lines("loads")) == 1


async def test_a_training_goes_on_when_only_the_attempt_changes(consortium: Consortium, tmp_path: Path) -> None:
    async with play(consortium, tmp_path, "late") as p:
        await p.start(deadline_ms=200)
        p.hold()
        with p.client() as client:
            await trainings(p, 1)
            await p.reopen_overdue()
            await until_true(lambda: entry(client, "late")["attempt"] == 2, "the client to notice")
            p.release()
            await p.published(attempt=2)
            assert client.end() == 0
        assert p.lines("trainings") == ["late 0 1"]


async def test_a_stopped_run_stops_the_training_and_leaves_nothing_behind(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "stopped") as p:
        await p.start()
        p.hold()
        with p.client() as client:
            await trainings(p, 1)
            worker = int(p.lines("loads")[0])
            await p.stop()
            await until_true(lambda: not lives(worker), "the worker to end")
            await until_true(lambda: not p.models(), "the run's files to be removed")
            assert entry(client, "stopped")["state"] == "stopped"
            assert client.end() == 0


async def test_a_client_that_is_told_to_end_stops_its_training(consortium: Consortium, tmp_path: Path) -> None:
    async with play(consortium, tmp_path, "ended") as p:
        await p.start()
        p.hold()
        with p.client() as client:
            await trainings(p, 1)
            worker = int(p.lines("loads")[0])
            assert client.end() == 0
            assert not lives(worker)
        assert p.models() == {"global-0000000"}


async def test_trainings_of_two_runs_wait_for_each_other(consortium: Consortium, tmp_path: Path) -> None:
    async with play(consortium, tmp_path, "first") as p, play(consortium, tmp_path, "second") as q:
        q.silo = p.silo
        await p.start()
        await q.start()
        p.hold()
        with p.client() as client:
            await until_true(lambda: len(p.lines("loads")) == 2, "both runs to be loaded")
            await trainings(p, 1)
            phases = [entry(client, name)["phase"] for name in ("first", "second")]
            assert phases.count("training") == 1
            p.release()
            await p.published()
            await q.published()
            assert client.end() == 0
        assert len(p.lines("trainings")) == 2
