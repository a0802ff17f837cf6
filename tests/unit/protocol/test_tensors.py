"""The bytes of an artifact follow from the schema alone, and are a safetensors file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors import deserialize

from consilo.protocol.tensors import DTYPE_BYTES, FLOATING, MAX_ARTIFACT_BYTES, TensorSchema, TensorSpec

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-/:]{0,20}\Z", fullmatch=True).filter(
    lambda name: name != "__metadata__"
)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def schemas(draw: st.DrawFn) -> TensorSchema:
    names = draw(st.sets(NAMES, min_size=1, max_size=6))
    tensors = [
        TensorSpec(name=name, dtype=draw(st.sampled_from(sorted(DTYPE_BYTES))), shape=draw(SHAPES))
        for name in sorted(names)
    ]
    if sum(tensor.nbytes for tensor in tensors) == 0:
        tensors[-1] = TensorSpec(name=tensors[-1].name, dtype="F32", shape=())
    return TensorSchema(tensors=tuple(tensors))


def _spec(name: str = "w", dtype: Any = "F32", shape: Any = (2, 3)) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


@given(schemas())
def test_header_and_zeros_are_a_safetensors_file_with_the_schema_s_tensors(schema: TensorSchema) -> None:
    read = dict(deserialize(schema.header + bytes(schema.data_bytes)))  # type: ignore[no-untyped-call]
    assert {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in read.items()} == {
        tensor.name: (tensor.dtype, tensor.shape) for tensor in schema.tensors
    }
    assert schema.artifact_bytes == len(schema.header) + schema.data_bytes


@given(schemas())
def test_tensors_follow_each_other_without_gaps_from_an_aligned_start(schema: TensorSchema) -> None:
    end = 0
    for tensor, offset in zip(schema.tensors, schema.offsets, strict=True):
        assert offset == end
        end += tensor.elements * DTYPE_BYTES[tensor.dtype]
    assert end == schema.data_bytes
    assert len(schema.header) % 8 == 0


@given(schemas())
def test_a_schema_is_read_back_from_its_record(schema: TensorSchema) -> None:
    again = TensorSchema.decode(schema.encode())
    assert again == schema
    assert again.header == schema.header


def test_the_header_is_these_bytes() -> None:
    schema = TensorSchema(tensors=(_spec("a", "BF16", (3,)), _spec("b", "I64", ())))
    text = (
        b'{"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},"b":{"dtype":"I64","shape":[],"data_offsets":[6,14]}}'
    )
    padded = text + b" " * (-len(text) % 8)
    assert schema.header == len(padded).to_bytes(8, "little") + padded
    assert json.loads(schema.header[8:])["b"]["data_offsets"] == [6, 14]
    assert (schema.offsets, schema.data_bytes) == ((0, 6), 14)


def test_a_scalar_has_one_element_and_an_empty_tensor_none() -> None:
    assert _spec(shape=()).elements == 1
    assert _spec(shape=(3, 0)).nbytes == 0


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (_spec("b"), _spec("a")),
        (_spec("a"), _spec("a")),
        (_spec(shape=(0,)),),
        (_spec(shape=(2**40, 4)),),
        (_spec(shape=(2**40,) * 16),),
        (_spec("__metadata__"), _spec("a")),
    ],
    ids=["none", "unsorted", "twice", "no element", "too large", "far too large", "metadata"],
)
def test_a_schema_that_no_artifact_could_follow_is_refused(tensors: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(ValidationError):
        TensorSchema(tensors=tensors)


def test_the_largest_artifact_is_bounded() -> None:
    schema = TensorSchema(tensors=(_spec(dtype="I8", shape=(2**40, 8)),))
    assert schema.artifact_bytes <= MAX_ARTIFACT_BYTES


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("", "F32", (1,)),
        (".a", "F32", (1,)),
        ("a b", "F32", (1,)),
        ('a"', "F32", (1,)),
        ("a\n", "F32", (1,)),
        ("а", "F32", (1,)),
        ("a" * 256, "F32", (1,)),
        ("a", "F8_E4M3", (1,)),
        ("a", "BOOL", (1,)),
        ("a", "f32", (1,)),
        ("a", "F32", (-1,)),
        ("a", "F32", (1.0,)),
        ("a", "F32", (2**40 + 1,)),
        ("a", "F32", (1,) * 17),
        ("a", "F32", [1]),
    ],
)
def test_a_tensor_that_cannot_be_aggregated_or_named_is_refused(name: str, dtype: Any, shape: Any) -> None:
    with pytest.raises(ValidationError):
        _spec(name, dtype, shape)


def test_the_floating_dtypes_are_among_the_known() -> None:
    assert set(DTYPE_BYTES) >= FLOATING
