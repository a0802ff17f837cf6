"""Artifacts on disk: what is written, what is read back, what is refused."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from consilo.aggregation import (
    ArtifactMalformed,
    StateUnsuitable,
    read_artifact,
    schema_of,
    write_artifact,
    zero_state,
)
from consilo.aggregation.dtypes import NUMPY_DTYPES
from tests.unit.aggregation.support import DTYPES, array_of, bytes_of, digest_of, hard_bits, schema_for

State = dict[str, npt.NDArray[Any]]


def every_dtype() -> State:
    # "I8" has an odd number of elements, so that what follows is not aligned.
    return {dtype: array_of(bytes_of(hard_bits(dtype, 21, 5), dtype), dtype).reshape(3, 7) for dtype in DTYPES}


def assert_same(first: State, second: State) -> None:
    assert list(first) == sorted(second)
    for name, values in first.items():
        assert values.dtype == second[name].dtype
        assert values.shape == second[name].shape
        assert values.tobytes() == second[name].tobytes()


def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    state = every_dtype()
    schema = schema_of(state)

    digest = write_artifact(tmp_path / "model", schema, state)

    data = (tmp_path / "model").read_bytes()
    assert digest == digest_of(data)
    assert len(data) == schema.artifact_bytes
    assert data.startswith(schema.header)
    assert_same(read_artifact(tmp_path / "model", schema), state)


def test_the_safetensors_library_reads_what_is_written(tmp_path: Path) -> None:
    state = {
        name: values
        for name, values in every_dtype().items()
        if values.dtype != ml_dtypes.bfloat16  # compared by its bytes in the test above
    } | {"scalar": np.array(2.5, np.float32), "nothing": np.empty((0, 3), np.float64)}

    write_artifact(tmp_path / "model.safetensors", schema_of(state), state)

    loaded = load_file(tmp_path / "model.safetensors")
    assert_same(dict(sorted(loaded.items())), state)


def test_scalars_and_empty_tensors_survive(tmp_path: Path) -> None:
    state: State = {
        "a_empty": np.empty((0,), np.float32),
        "b_scalar": np.array(1.5, ml_dtypes.bfloat16),
        "c_empty": np.empty((4, 0, 2), np.int8),
        "d_flag": np.array(3, np.uint8),
        "e_empty": np.empty((0,), np.float64),
    }
    schema = schema_of(state)

    write_artifact(tmp_path / "model", schema, state)

    assert_same(read_artifact(tmp_path / "model", schema), state)


def test_memory_layout_does_not_show(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    layouts: list[npt.NDArray[Any]] = [values, np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2]]
    schema = schema_of({"x": values})

    assert len({write_artifact(tmp_path / "model", schema, {"x": layout}) for layout in layouts}) == 1


def test_tensors_read_may_be_modified_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    state = every_dtype()
    schema = schema_of(state)
    digest = write_artifact(tmp_path / "model", schema, state)

    read = read_artifact(tmp_path / "model", schema)
    for values in read.values():
        assert values.flags.aligned
        values[...] = 1

    assert (read["F32"] == 1).all()
    assert digest_of((tmp_path / "model").read_bytes()) == digest


def test_a_file_with_another_size_is_refused(tmp_path: Path) -> None:
    state = every_dtype()
    schema = schema_of(state)
    write_artifact(tmp_path / "model", schema, state)
    data = (tmp_path / "model").read_bytes()

    for wrong in (b"", data[:-1], data + b"\0"):
        (tmp_path / "model").write_bytes(wrong)
        with pytest.raises(ArtifactMalformed, match=f"has {len(wrong)} bytes"):
            read_artifact(tmp_path / "model", schema)


def test_a_file_with_another_header_of_the_same_size_is_refused(tmp_path: Path) -> None:
    written, expected = schema_for(("x", "F32", (2, 3))), schema_for(("x", "F32", (3, 2)))
    assert written.artifact_bytes == expected.artifact_bytes
    write_artifact(tmp_path / "model", written, zero_state(written))

    with pytest.raises(ArtifactMalformed, match="header"):
        read_artifact(tmp_path / "model", expected)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": np.zeros(2, np.float32)}, "missing: b"),
        ({"a": np.zeros(2, np.float32), "b": np.zeros(1, np.int8), "c": np.zeros(1)}, "does not have: c"),
        ({"a": np.zeros(2, np.float64), "b": np.zeros(1, np.int8)}, "'a' has dtype float64"),
        ({"a": np.zeros(2, ">f4"), "b": np.zeros(1, np.int8)}, "'a' has dtype >f4"),
        ({"a": np.zeros((2, 1), np.float32), "b": np.zeros(1, np.int8)}, "'a' has shape"),
        ({"a": np.zeros(2, np.float32), "b": np.zeros((), np.int8)}, "'b' has shape"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, state: State, message: str
) -> None:
    schema = schema_for(("a", "F32", (2,)), ("b", "I8", (1,)))

    with pytest.raises(StateUnsuitable, match=message):
        write_artifact(tmp_path / "model", schema, state)

    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "make no schema"),
        ({"x": np.empty(0, np.float32)}, "hold no element"),
        ({"x": np.zeros(1, np.complex64)}, "dtype complex64"),
        ({"x": np.zeros(1, np.bool_)}, "dtype bool"),
        ({"x": np.zeros(1, object)}, "dtype object"),
        ({"x": np.zeros(1, ">f8")}, "dtype >f8"),
        ({"": np.zeros(1, np.float32)}, "tensor ''"),
        ({"../x": np.zeros(1, np.float32)}, "tensor '../x'"),
        ({"x": np.zeros((1,) * 17, np.float32)}, "tensor 'x'"),
    ],
)
def test_tensors_that_fit_no_schema_are_refused(state: State, message: str) -> None:
    with pytest.raises(StateUnsuitable, match=message):
        schema_of(state)


def test_a_zero_state_has_the_schema_it_was_made_of() -> None:
    schema = schema_of(every_dtype())
    state = zero_state(schema)

    assert schema_of(state) == schema
    assert not any(values.view(np.uint8).any() for values in state.values())
    assert {values.dtype for values in state.values()} == set(NUMPY_DTYPES.values())
