"""The work directory on a real file system."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.client.work import RunDirectory, TrainedUpdate, WorkDirectory, WorkDirectoryUnusable

BASE = hashlib.sha256(b"base").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def trained(round_number: int = 3, base: str = BASE) -> TrainedUpdate:
    return TrainedUpdate(
        run="trial",
        round=round_number,
        base=base,
        attempt=1,
        sha256=hashlib.sha256(b"model").hexdigest(),
        num_samples=5,
        metrics={"loss": "0.5"},
        artifact=None,
    )


@pytest.fixture
def files(tmp_path: Path) -> RunDirectory:
    directory = WorkDirectory(tmp_path)
    found = directory.run("trial")
    found.prepare()
    directory.close()
    return found


def test_a_trained_update_is_found_again_only_with_its_model(files: RunDirectory) -> None:
    update = trained()
    files.keep(update)
    assert files.trained(3, BASE) is None
    files.update_file(3, BASE).write_bytes(b"model")
    assert files.trained(3, BASE) == update
    assert files.trained(4, BASE) is None
    assert files.trained(3, OTHER) is None
    files.discard(update)
    assert files.trained(3, BASE) is None
    assert not files.update_file(3, BASE).exists()


def test_a_damaged_record_counts_as_none(files: RunDirectory) -> None:
    files.keep(trained())
    files.update_file(3, BASE).write_bytes(b"model")
    record = files.update_file(3, BASE).with_suffix(".json")
    record.write_bytes(record.read_bytes()[:-10])
    assert files.trained(3, BASE) is None


def test_a_damaged_model_is_removed(files: RunDirectory) -> None:
    file = files.global_file(3, BASE)
    assert not files.has(file, BASE)
    file.write_bytes(b"base")
    assert files.has(file, BASE)
    file.write_bytes(b"bose")
    assert not files.has(file, BASE)
    assert not file.exists()


def test_only_models_of_the_last_rounds_stay(files: RunDirectory, tmp_path: Path) -> None:
    def fill() -> None:
        for number in range(1, 6):
            files.global_file(number, BASE).write_bytes(b"")
            files.update_file(number, BASE).write_bytes(b"")
            files.keep(trained(number))
        files.global_file(3, OTHER).write_bytes(b"")

    def left() -> set[str]:
        return {path.name[:14] for path in (tmp_path / "runs" / "trial").iterdir()}

    fill()
    files.clean(3, BASE, keep_rounds=1)
    assert left() == {"global-0000003", "update-0000003"}
    assert not files.global_file(3, OTHER).exists()
    fill()
    files.clean(3, BASE, keep_rounds=2)
    assert left() == {"global-0000002", "update-0000002", "global-0000003", "update-0000003"}
    files.remove()
    assert not (tmp_path / "runs" / "trial").exists()


def test_what_was_left_unfinished_is_removed(files: RunDirectory, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "trial"
    files.global_file(3, BASE).write_bytes(b"base")
    for name in (f".global-0000003-{BASE}.00ff.part", f"update-0000003-{BASE}.partial", ".x.part"):
        (folder / name).write_bytes(b"half")
    files.prepare()
    assert [path.name for path in folder.iterdir()] == [f"global-0000003-{BASE}"]


@pytest.mark.parametrize("name", ["..", "a/b", "", "A", ".", "a\n"])
def test_a_name_that_is_no_runs_leads_nowhere(tmp_path: Path, name: str) -> None:
    directory = WorkDirectory(tmp_path)
    with pytest.raises(ValueError, match="no name of a run"):
        directory.run(name)
    directory.close()


def test_one_client_at_a_time_uses_a_directory(tmp_path: Path) -> None:
    first = WorkDirectory(tmp_path)
    with pytest.raises(WorkDirectoryUnusable, match="another client"):
        WorkDirectory(tmp_path)
    first.close()
    WorkDirectory(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkDirectoryUnusable, match="file"):
        WorkDirectory(tmp_path / "file")
