"""Loading a task: what a reference may name, and what is checked then."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilo.aggregation import schema_of
from consilo.training.hosting import TaskHost
from consilo.training.messages import Failed, InitialStateReply, InitialStateRequest, LoadReply, LoadRequest, Reply
from tests.unit.training.conftest import MEAN


@pytest.fixture
def host() -> TaskHost:
    return TaskHost(lambda _: None, lambda: 0)


def load(host: TaskHost, task: str = MEAN, **fields: Any) -> Reply:
    request = LoadRequest(id=1, task=task, **{"parameters": {}, "data": {}, **fields})
    return host.answer(request, threading.Event())


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("nowhere_to_be_found:Task", "there is no module 'nowhere_to_be_found'"),
        ("consilo.nowhere.at_all:Task", "there is no module 'consilo.nowhere'"),
        ("tests.unit.training.example_tasks:Nothing", "has no class Nothing"),
        ("tests.unit.training.example_tasks:BEHAVIOURS", "has no class BEHAVIOURS"),
        ("tests.unit.training.example_tasks", "write module:Class"),
        ("tests.unit.training.example_tasks:", "write module:Class"),
        (":Mean", "write module:Class"),
        ("os:system('true')", "write module:Class"),
        ("tests.unit.training.example_tasks:Incomplete", "has no method train"),
    ],
)
def test_a_reference_that_names_no_task_is_explained(host: TaskHost, task: str, message: str) -> None:
    reply = load(host, task)
    assert isinstance(reply, Failed)
    assert reply.code == "task-not-found"
    assert message in reply.message


def test_values_that_the_task_refuses_are_told_apart_from_failures(host: TaskHost) -> None:
    refused = load(host, parameters={"behaviour": "refuse"})
    failed = load(host, parameters={"behaviour": "load-raises"})
    assert isinstance(refused, Failed)
    assert isinstance(failed, Failed)
    assert (refused.code, refused.message) == ("task-value-invalid", "parameter 'behaviour' must not be 'refuse'")
    assert (failed.code, failed.message) == ("task-failed", "load raised FileNotFoundError: no such directory: /data")
    assert any("example_tasks.py" in line for line in failed.traceback)


def test_another_version_of_a_task_is_not_loaded(host: TaskHost) -> None:
    reply = load(host, version="4")
    assert isinstance(reply, Failed)
    assert reply.code == "task-version-mismatch"
    assert "installed in version 3, but the run asks for version 4" in reply.message
    assert isinstance(load(host, version="3"), LoadReply)


def test_a_class_without_a_version_counts_as_version_1(host: TaskHost) -> None:
    reply = load(host, "tests.unit.training.example_tasks:Unversioned", version="1")
    assert isinstance(reply, LoadReply)
    assert reply.version == "1"


def test_a_task_whose_model_is_not_the_runs_is_refused(host: TaskHost) -> None:
    other = schema_of({"mean": np.zeros(3, np.float32), "steps": np.zeros(1, np.int64)})
    reply = load(host, tensors=other)
    assert isinstance(reply, Failed)
    assert reply.code == "task-result-invalid"
    assert "the state of initial_state has 'mean' as F32 [], the run's F32 [3]" in reply.message


def test_an_initial_model_needs_no_data(host: TaskHost, tmp_path: Path) -> None:
    load(host, data=None)
    reply = host.answer(InitialStateRequest(id=2, seed=5, output=str(tmp_path / "model")), threading.Event())
    assert isinstance(reply, InitialStateReply)
    assert [tensor.name for tensor in reply.tensors.tensors] == ["mean", "steps"]
    assert (tmp_path / "model").stat().st_size == reply.tensors.artifact_bytes


def test_a_load_that_fails_leaves_no_earlier_task_behind(host: TaskHost, tmp_path: Path) -> None:
    load(host)
    load(host, "nowhere_to_be_found:Task")
    reply = host.answer(InitialStateRequest(id=2, seed=5, output=str(tmp_path / "model")), threading.Event())
    assert isinstance(reply, Failed)
    assert reply.code == "task-not-found"
    assert not (tmp_path / "model").exists()
