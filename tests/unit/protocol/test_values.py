"""Names, numbers and places admit one spelling each, and nothing that looks like another or leads elsewhere."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from consilo.protocol import values
from consilo.protocol.values import format_number, organisation_of, parse_number

GOOD: dict[str, list[Any]] = {
    "Msp": ["HospitalA", "a", "0", "Org1.example-b", "A" * 64],
    "Name": ["trial", "a", "0", "a-b", "a" * 63],
    "Member": ["HospitalA/silo", "Org1.b/silo-2", "A" * 64 + "/" + "a" * 63],
    "Label": ["accuracy", "_x", "A.b:c-d_e", "a" * 128],
    "Text": ["", "räume\n\t", "x" * 1000],
    "Digest": ["0" * 64, "0123456789abcdef" * 4],
    "Serial": ["1", "a0", "f" * 40],
    "ObjectKey": ["a", "run/1/HospitalA-silo", "a.b/c_d-e", "a" * 512],
    "Host": ["store.example", "127.0.0.1:9000", "a", "a-b.c:1"],
    "Url": ["http://a.example", "https://a.example:8443/v1/", "http://127.0.0.1:80/a-b_c.d"],
    "Milliseconds": [0, 2**53 - 1],
    "Duration": [0, 60_000],
    "RoundNumber": [0, 9_999_999],
    "AttemptNumber": [0, 9_999],
    "Samples": [1, 2**29 - 1],
    "Number": ["0.0", "-0.0", "0.1", "1e+300", "5e-324", "-12.5", "1e-05"],
    "Metrics": [{}, {"accuracy": "0.5"}],
}

BAD: dict[str, list[Any]] = {
    "Msp": ["", "-a", ".a", "A/b", "A b", "Ä", "A" * 65, "А", "A_b"],  # the last but one is Cyrillic
    "Name": ["", "-a", "a-", "A", "a.b", "a/b", "..", "a_b", "a" * 64, "ａ"],
    "Member": ["", "a", "a/", "/a", "a/b/c", "../a", "A//a", "A/Silo", "A/si lo", "HospitalА/silo", "A\\a"],
    "Label": ["", "-a", ".a", "a/b", "a b", "a" * 129, "é"],
    "Text": ["x" * 1001],
    "Digest": ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "０" * 64],
    "Serial": ["", "0", "0a", "A", "g", "1" * 41, "0x1"],
    "ObjectKey": [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        "a/./b",
        ".a",
        "a\\b",
        "a b",
        "a?b",
        "a%2e",
        "a" * 513,
        "-a",
    ],
    "Host": ["", "A.example", "a:", "a:123456", "a/b", "u@a", "a b", "-a", "a-", "[::1]", "a:1:2"],
    "Url": [
        "",
        "a.example",
        "ftp://a",
        "http://",
        "http://u:p@a",
        "http://a?q",
        "http://a#f",
        "http://a/%2e",
        "http://A",
        " http://a",
        "http://a//evil@b",
    ],
    "Milliseconds": [-1, 2**53, 1.0, "1", True],
    "Duration": [-1, 2**53 - 1, 1.5],
    "RoundNumber": [-1, 10_000_000, True],
    "AttemptNumber": [-1, 10_000],
    "Samples": [0, 2**29, 10.0, "10"],
    "Number": [
        "",
        "1",
        "0.10",
        "1e5",
        "nan",
        "inf",
        "-inf",
        "1_0.0",
        " 1.0",
        "+1.0",
        "1.0 ",
        "٣.0",
        "1e999",
        "0x1",
        ".5",
        "1" * 33,
    ],
    "Metrics": [{"a b": "0.5"}, {"a": 0.5}, {"a": "nan"}, {f"m{i}": "0.5" for i in range(65)}, []],
}

STRINGS = [name for name, good in GOOD.items() if isinstance(good[0], str)]


def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(getattr(values, name))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good in GOOD.items() for value in good])
def test_good_values_are_taken_as_they_are(name: str, value: Any) -> None:
    assert _adapter(name).validate_python(value, strict=True) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in BAD.items() for value in bad])
def test_bad_values_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        _adapter(name).validate_python(value, strict=True)


@pytest.mark.parametrize("name", [name for name in STRINGS if name != "Text"])
@pytest.mark.parametrize("extra", ["\n", "\r", "\0", " ", "\u200b", "\u2028", "\x85", "\ufeff", "\u0301", "/..", "\\"])
def test_nothing_can_be_appended_or_put_before(name: str, extra: str) -> None:
    adapter = _adapter(name)
    if name in {"ObjectKey", "Url"}:
        extra = extra.replace("/..", "/../..\0")  # a path of its own is theirs to have
    for value in (GOOD[name][0] + extra, extra + GOOD[name][0]):
        with pytest.raises(ValidationError):
            adapter.validate_python(value, strict=True)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_has_one_spelling_that_gives_it_back(value: float) -> None:
    text = format_number(value)
    again = parse_number(text)
    assert again == value
    assert math.copysign(1.0, again) == math.copysign(1.0, value)
    assert format_number(again) == text
    assert _adapter("Number").validate_python(text) == text


@given(st.text(alphabet="0123456789.eE+-_ naif", max_size=12) | st.text(max_size=8))
def test_any_other_text_is_a_value_error_and_nothing_else(text: str) -> None:
    try:
        value = parse_number(text)
    except ValueError:
        return
    assert repr(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_spelling(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        format_number(value)


def test_numbers_of_numpy_s_kind_are_spelled_as_floats() -> None:
    class Double(float):
        def __repr__(self) -> str:
            return "Double(0.5)"

    assert format_number(Double(0.5)) == "0.5"


def test_a_member_belongs_to_the_organisation_before_the_slash() -> None:
    assert organisation_of("Org1.b/silo-2") == "Org1.b"


@given(st.text(max_size=30))
def test_a_member_s_id_never_has_two_readings(text: str) -> None:
    adapter = _adapter("Member")
    try:
        adapter.validate_python(text, strict=True)
    except ValidationError:
        return
    msp, name = text.split("/")
    assert _adapter("Msp").validate_python(msp) + "/" + _adapter("Name").validate_python(name) == text
    assert text.isascii()
