"""The initial model from a safetensors file: what is taken, rewritten, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from consilo.aggregation import read_artifact, schema_of, write_artifact
from consilo.cli.exits import CliError
from consilo.cli.initial import initial_of_file

STATE: dict[str, Any] = {
    "z": np.arange(6, dtype=np.float64).reshape(2, 3),
    "a": np.array([1, 2, 3], np.float32),
    "n": np.array(7, np.int64),
}


def written(path: Path, header: Any, data: bytes = b"\0" * 8) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def tensor(start: Any = 0, end: Any = 8, dtype: Any = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_file_of_the_libraries_is_rewritten_with_the_schema_s_header(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(STATE, path, metadata={"format": "pt"})
    before = path.read_bytes()

    model = initial_of_file(path, tmp_path)

    assert model.tensors == schema_of(STATE)
    assert model.path != path
    assert path.read_bytes() == before
    data = model.path.read_bytes()
    assert data[: len(model.tensors.header)] == model.tensors.header
    assert len(data) == model.tensors.artifact_bytes
    for name, values in load_file(model.path).items():
        np.testing.assert_array_equal(values, STATE[name])


def test_an_artifact_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_artifact(path, schema_of(STATE), STATE)
    model = initial_of_file(path, tmp_path)
    assert model.path == path
    assert set(read_artifact(path, model.tensors)) == set(STATE)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (b"not json", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        ({}, "Tuple should have at least 1 item"),
        ({"w": 3}, "no dtype, shape and data_offsets"),
        ({"w": {"dtype": "F32", "shape": [2]}}, "no dtype, shape and data_offsets"),
        ({"w": tensor(dtype="BOOL")}, "dtype"),
        ({"w": tensor(dtype="F8_E4M3")}, "dtype"),
        ({"w": tensor(shape=(-2,))}, "shape"),
        ({"w": tensor(shape="ab")}, "shape"),
        ({"w": tensor(end=4)}, "has 4 bytes; its shape needs 8"),
        ({"w": tensor(0, 16, shape=(4,))}, "lies outside of the file"),
        ({"w": tensor(-8, 0)}, "lies outside of the file"),
        ({"w": tensor(0.0, 8.0)}, "lies outside of the file"),
        ({"w": tensor(0, 0, shape=(0,))}, "hold no element"),
        ({"../w": tensor()}, "name"),
    ],
)
def test_a_malformed_file_is_refused_in_a_sentence(tmp_path: Path, header: Any, sentence: str) -> None:
    path = written(tmp_path / "model.safetensors", header)
    with pytest.raises(CliError, match="cannot be the initial model") as refused:
        initial_of_file(path, tmp_path)
    assert refused.value.code == "initial-malformed"
    assert sentence in refused.value.message
    assert not (tmp_path / "initial.safetensors").exists()


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0", b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_length_that_the_file_does_not_have_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CliError, match="does not start with the length of a header"):
        initial_of_file(path, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.array([1, value], np.float32)}, path)
    with pytest.raises(CliError, match="tensor 'w' has an infinity or a NaN"):
        initial_of_file(path, tmp_path)
