"""A worker process trains, evaluates, and survives what tasks do."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consilo.aggregation import read_artifact
from consilo.training.errors import (
    ArtifactUnusable,
    TaskFailed,
    TaskNotFound,
    TaskResultInvalid,
)
from consilo.training.messages import Progress
from consilo.training.worker_process import WorkerSettings, worker_environment
from tests.unit.training.conftest import Workplace
from tests.unit.training.example_tasks import FLOOD_LINES


async def test_a_training_writes_the_artifact_and_says_its_digest(place: Workplace) -> None:
    initial = await place.prepare(count=10)
    reply = await place.train()
    assert reply.num_samples == 10
    assert reply.checks == 10
    assert reply.prints == 0
    assert 0 < reply.metrics["loss"] < 100
    assert reply.sha256 == hashlib.sha256(place.output.read_bytes()).hexdigest()
    state = read_artifact(place.output, initial.tensors)
    assert 7 < state["mean"] < 9
    assert state["steps"].tolist() == [10]
    assert sorted(path.name for path in place.output.parent.iterdir()) == ["base.safetensors", "output.safetensors"]


async def test_training_leaves_the_file_it_starts_from_as_it_is(place: Workplace) -> None:
    initial = await place.prepare()
    await place.train()
    assert hashlib.sha256(place.base.read_bytes()).hexdigest() == initial.sha256


async def test_the_same_round_trains_to_the_same_bytes_in_a_warm_and_in_a_new_worker(place: Workplace) -> None:
    await place.prepare()
    first = await place.train()
    pid = place.worker.pid
    assert (await place.train()).sha256 == first.sha256
    assert place.worker.pid == pid
    await place.worker.close()
    assert place.worker.pid is None
    assert (await place.train()).sha256 == first.sha256
    assert place.worker.pid not in (None, pid)


async def test_progress_is_reported_while_training(place: Workplace) -> None:
    await place.prepare(count=4)
    reports: list[Progress] = []
    await place.train(reports.append)
    assert [report.fraction for report in reports] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert reports[-1].metrics == {"value": 3.0}


async def test_progress_that_comes_too_often_is_dropped(settings: WorkerSettings, make_workplace: Any) -> None:
    place = await make_workplace(WorkerSettings(environment=settings.environment, progress_interval_seconds=3600))
    await place.prepare(count=1000)
    reports: list[Progress] = []
    await place.train(reports.append)
    assert len(reports) == 2


async def test_progress_that_is_no_number_does_not_stop_a_training(place: Workplace) -> None:
    await place.prepare("nan-progress")
    assert (await place.train()).num_samples == 10


async def test_an_evaluation_counts_and_measures(place: Workplace) -> None:
    initial = await place.prepare(count=3)
    reply = await place.worker.evaluate(place.base, initial.tensors, compare=True)
    assert reply.num_samples == 3
    assert set(reply.metrics) == {"loss"}
    assert reply.unchanged is True


async def test_an_evaluation_that_writes_to_the_state_is_seen(place: Workplace) -> None:
    initial = await place.prepare("evaluate-writes")
    assert (await place.worker.evaluate(place.base, initial.tensors, compare=True)).unchanged is False
    assert (await place.worker.evaluate(place.base, initial.tensors)).unchanged is None


async def test_a_task_without_a_test_set_cannot_be_tested(place: Workplace) -> None:
    initial = await place.prepare()
    with pytest.raises(TaskNotFound, match="no method test"):
        await place.worker.test(place.base, initial.tensors)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("return-none", "train returned a tuple; return a TrainingResult"),
        ("return-nan", "not finite in 'mean'; training diverged"),
    ],
)
async def test_a_result_that_cannot_be_published_is_refused(place: Workplace, behaviour: str, message: str) -> None:
    await place.prepare(behaviour)
    pid = place.worker.pid
    with pytest.raises(TaskResultInvalid, match=message) as caught:
        await place.train()
    assert caught.value.code == "task-result-invalid"
    assert not place.output.exists()
    assert place.worker.pid == pid  # still warm


async def test_an_evaluation_that_is_not_finite_is_refused(place: Workplace) -> None:
    initial = await place.prepare("evaluate-returns-nan")
    with pytest.raises(TaskResultInvalid, match="evaluate returned metric 'loss' as nan"):
        await place.worker.evaluate(place.base, initial.tensors)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("raise", "train raised RuntimeError: the table has no rows"),
        ("exit", "train raised SystemExit: 0"),
        ("interrupt", "train raised KeyboardInterrupt"),
    ],
)
async def test_a_task_that_raises_fails_with_its_traceback(place: Workplace, behaviour: str, message: str) -> None:
    await place.prepare(behaviour)
    pid = place.worker.pid
    with pytest.raises(TaskFailed, match=message) as caught:
        await place.train()
    text = "\n".join(caught.value.details)
    assert "example_tasks.py" in text
    assert "hosting.py" not in text
    assert place.worker.pid == pid


@pytest.mark.parametrize("behaviour", ["print-natively", "flood", "read-input"])
async def test_what_a_task_prints_or_reads_does_not_touch_the_protocol(place: Workplace, behaviour: str) -> None:
    await place.prepare(behaviour)
    assert (await place.train()).num_samples == 10


async def test_a_flood_of_output_is_logged_up_to_a_limit(settings: WorkerSettings, make_workplace: Any) -> None:
    place = await make_workplace(WorkerSettings(environment=settings.environment, max_log_lines=50))
    await place.prepare("flood")
    with capture_logs() as logs:
        reply = await place.train()
        await place.worker.close()
    lines = [entry["line"] for entry in logs if entry["event"] == "task-output"]
    dropped = [entry["lines"] for entry in logs if entry["event"] == "task-output-dropped"]
    assert reply.prints >= FLOOD_LINES
    assert len(lines) == 50
    assert all(len(line) <= 2000 for line in lines)
    assert dropped == [FLOOD_LINES + 1 - 50]
    assert logs[0]["worker"] == "HospitalA/silo"


async def test_a_task_sees_no_setting_and_no_secret(
    settings: WorkerSettings, make_workplace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSILO_CLIENT__KEY_FILE", "/keys/silo.pem")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    place = await make_workplace(WorkerSettings(environment={**settings.environment, "HOME": str(tmp_path)}))
    await place.prepare("show-environment")
    await place.train()
    seen = json.loads((tmp_path / "environment.json").read_text())
    assert not [name for name in seen if name.startswith(("CONSILO_", "AWS_"))]
    assert seen["OMP_NUM_THREADS"] == "2"
    assert seen["PATH"] == os.environ["PATH"]
    assert "secret" not in json.dumps(seen)


def test_a_setting_cannot_be_passed_to_a_worker_by_mistake() -> None:
    with pytest.raises(ValueError, match="must not get CONSILO_TOKEN"):
        WorkerSettings(environment={"CONSILO_TOKEN": "x"})


def test_training_is_reproducible_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    environment = worker_environment({})
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PYTHONHASHSEED"] == "0"


async def test_a_module_that_cannot_be_imported_fails_with_its_reason(
    settings: WorkerSettings, make_workplace: Any, tmp_path: Path
) -> None:
    place = await make_workplace(WorkerSettings(environment={"PYTHONPATH": str(tmp_path)}))
    (tmp_path / "broken_task.py").write_text("1 / 0\n")
    (tmp_path / "needy_task.py").write_text("import a_library_that_is_missing\n")
    with pytest.raises(TaskFailed, match="importing broken_task raised ZeroDivisionError"):
        await place.worker.load("broken_task:Task", parameters={}, data={})
    with pytest.raises(TaskNotFound, match="needs 'a_library_that_is_missing'"):
        await place.worker.load("needy_task:Task", parameters={}, data={})


async def test_a_base_that_is_no_artifact_of_the_run_is_refused(place: Workplace) -> None:
    initial = await place.prepare()
    place.base.write_bytes(place.base.read_bytes()[:-1])
    with pytest.raises(ArtifactUnusable, match="cannot be read"):
        await place.train()
    place.base.unlink()
    with pytest.raises(ArtifactUnusable, match="cannot be read"):
        await place.worker.evaluate(place.base, initial.tensors)


async def test_an_output_that_cannot_be_written_leaves_nothing_behind(place: Workplace, tmp_path: Path) -> None:
    await place.prepare()
    place.output = tmp_path / "missing" / "output.safetensors"
    with pytest.raises(ArtifactUnusable, match="cannot be written"):
        await place.train()
    place.output = tmp_path / "taken"
    place.output.mkdir()
    with pytest.raises(ArtifactUnusable, match="cannot be written"):
        await place.train()
    assert not (tmp_path / "taken.partial").exists()
