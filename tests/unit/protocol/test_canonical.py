"""One byte string per value; and whatever bytes come in, only InvalidInput comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.protocol.canonical import MAX_DEPTH, MAX_INTEGER, canonical, digest, parse
from consilo.protocol.refusals import InvalidInput

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-MAX_INTEGER, MAX_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@given(VALUES)
def test_what_is_written_is_read_back_and_written_the_same(value: Any) -> None:
    data = canonical(value)
    assert parse(data) == value
    assert canonical(parse(data)) == data
    assert json.loads(data) == value


@given(VALUES)
def test_spelling_does_not_matter_to_who_reads(value: Any) -> None:
    loose = json.dumps(value, indent=2, ensure_ascii=True).encode()
    assert canonical(parse(loose)) == canonical(value)


@given(st.dictionaries(TEXT, INTEGERS, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(VALUES, VALUES)
def test_different_values_have_different_bytes(first: Any, second: Any) -> None:
    # Python holds 1 == True; the bytes do not.
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (canonical(first) == canonical(second)) == same


@given(st.binary(max_size=64) | TEXT.map(str.encode) | VALUES.map(lambda value: json.dumps(value).encode()[:-1]))
def test_whatever_bytes_come_only_invalid_input_comes_out(data: bytes) -> None:
    try:
        value = parse(data)
    except InvalidInput as error:
        assert error.code == "malformed"  # noqa: PT017
        return
    assert parse(canonical(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"1 2",
        b"nul",
        b"1.0",
        b"1e3",
        b"-0.0",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"b":{"a":1,"a":2}}',
        b'"\\ud800"',
        b'{"\\udfff":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":1}'.decode().encode("utf-16"),
        b'"\n"',
        b"'a'",
        b"[1,]",
        b"{a:1}",
        b"01",
        b"+1",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 33 + b"1" + b"]" * 33,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_has_no_one_meaning_is_malformed(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(data)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        1.0,
        float("nan"),
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        {1: 2},
        {None: 1},
        b"x",
        {1, 2},
        "\ud800",
        {"\ud800": 1},
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    for wrapped in (value, [value], {"key": value}):
        with pytest.raises(InvalidInput) as caught:
            canonical(wrapped)
        assert caught.value.code == "malformed"


def test_the_depth_is_bounded_at_the_same_place_for_writing_and_reading() -> None:
    assert parse(canonical(_nested(MAX_DEPTH))) == _nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 10_000):
        with pytest.raises(InvalidInput):
            canonical(_nested(depth))
    with pytest.raises(InvalidInput):
        parse(json.dumps(_nested(MAX_DEPTH + 1)).encode())


def test_the_size_is_bounded_before_anything_is_read() -> None:
    assert parse(b"[1]", max_bytes=3) == [1]
    with pytest.raises(InvalidInput) as caught:
        parse(b"[1] ", max_bytes=3)
    assert caught.value.code == "too-large"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"b": 1, "a": [True, None, -0]}, b'{"a":[true,null,0],"b":1}'),
        (
            {"Z": 1, "a": 2, "é": 3, "\U0001f600": 4, "\uffff": 5},
            '{"Z":1,"a":2,"é":3,"\uffff":5,"\U0001f600":4}'.encode(),
        ),
        ('a"\\/\b\f\n\r\t\x00\x1f\x7f', b'"a\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
        ((1, ()), b"[1,[]]"),
        ({}, b"{}"),
        (MAX_INTEGER, b"9007199254740991"),
    ],
    ids=repr,
)
def test_the_form_is_this_and_no_other(value: Any, data: bytes) -> None:
    assert canonical(value) == data


def test_the_digest_is_lower_case_sha_256() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
