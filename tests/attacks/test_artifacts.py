"""Files that are meant to hurt who opens them: nobody parses a header, so none of them does."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.aggregation import AggregationError, read_artifact
from consilo.protocol.tensors import TensorSchema, TensorSpec
from tests.attacks.table import CODES

SCHEMA = TensorSchema(tensors=(TensorSpec(name="weights", dtype="F32", shape=(64,)),))
SIZE = SCHEMA.artifact_bytes


def with_header(header: bytes, length: int | None = None) -> bytes:
    """A file of the right size that begins with a header."""
    data = struct.pack("<Q", len(header) if length is None else length) + header
    return (data + bytes(SIZE))[:SIZE]


def entry(**fields: object) -> bytes:
    tensor = {"dtype": "F32", "shape": [64], "data_offsets": [0, 256], **fields}
    return json.dumps({"weights": tensor}).encode()


HOSTILE = {
    "a length beyond the file": with_header(b"{}", 2**63),
    "a length of all ones": with_header(b"{}", 2**64 - 1),
    "a length of zero": with_header(b"", 0),
    "offsets beyond the file": with_header(entry(data_offsets=[0, 2**60])),
    "negative offsets": with_header(entry(data_offsets=[-256, 0])),
    "offsets that overlap the header": with_header(entry(data_offsets=[0, 10])),
    "a shape whose product overflows": with_header(entry(shape=[2**33, 2**33])),
    "a huge number of dimensions": with_header(entry(shape=[1] * 60)),
    "another dtype of the same size": with_header(entry(dtype="I32")),
    "an unknown dtype": with_header(entry(dtype="F4096")),
    "another name": SCHEMA.header.replace(b"weights", b"wEights") + bytes(256),
    "metadata": with_header(json.dumps({"__metadata__": {"x": "y" * 50}}).encode()),
    "a key twice": with_header(b'{"weights":{},"weights":{}}'),
    "nesting": with_header(b"[" * 200),
    "no JSON": with_header(b"\xff" * 100),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR." + bytes(SIZE))[:SIZE],
    "nothing": b"",
    "one byte less": (SCHEMA.header + bytes(256))[:-1],
    "one byte more": SCHEMA.header + bytes(257),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_never_parsed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "artifact"
    path.write_bytes(data)
    with pytest.raises(AggregationError) as refused:
        read_artifact(path, SCHEMA)
    assert refused.value.code.endswith(CODES["a file with a hostile safetensors header"])


@given(st.binary(min_size=1, max_size=SIZE))
def test_whatever_a_file_begins_with_it_is_the_header_or_refused(start: bytes) -> None:
    data = (start + (SCHEMA.header + bytes(256))[len(start) :])[:SIZE]
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        if data.startswith(SCHEMA.header):
            read_artifact(Path(file.name), SCHEMA)
        else:
            with pytest.raises(AggregationError):
                read_artifact(Path(file.name), SCHEMA)
