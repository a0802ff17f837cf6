import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.store.errors import InvalidKey
from consilo.store.keys import MAX_KEY_CHARACTERS, check_key, unique_key


@pytest.mark.parametrize(
    "key", ["a", "a/b", "run-1/000007/x.safetensors", "_-/0..", "a" * 255, "/".join(["a" * 200] * 2)]
)
def test_a_key_is_segments_joined_by_slashes(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    ["", "/", "a/", "/a", "a//b", ".", "..", "a/..", "a/.b", "A", "a\n", "a\x00", "a%", "a?b", "a\\b", "ä", "a" * 256],
)
def test_anything_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        check_key(key)


def test_a_key_has_a_longest_length() -> None:
    check_key("a" * 255 + "/" + "a" * 255)
    with pytest.raises(InvalidKey, match=str(MAX_KEY_CHARACTERS)):
        check_key("a/" * 256 + "a")


@given(st.text(max_size=30))
def test_no_key_leads_out_of_its_directory(text: str) -> None:
    try:
        segments = check_key(text).split("/")
    except InvalidKey:
        return
    assert all(segment and not segment.startswith(".") for segment in segments)
    assert text.isascii()


def test_unique_keys_differ_and_keep_their_parts() -> None:
    first, second = unique_key("Run-1", "HospitalA/silo"), unique_key("Run-1", "HospitalA/silo")
    assert first != second
    assert first.startswith("run-1/hospitala/silo/")
    assert len(first.rpartition("/")[2]) == 32


@pytest.mark.parametrize("part", ["..", "a b", ""])
def test_a_unique_key_of_bad_parts_is_refused(part: str) -> None:
    with pytest.raises(InvalidKey):
        unique_key("run", part)
