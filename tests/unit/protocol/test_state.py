"""The draft and the state in memory: what is written is seen, in order, once."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.protocol.canonical import canonical
from consilo.protocol.records import Marker
from consilo.protocol.state import DictState, Draft, KeyOverwrittenError, read, writes_digest

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)


def _marker(at: int) -> Marker:
    return Marker(by="A/a", at=at)


@given(st.dictionaries(KEYS, st.integers(0, 9)), st.dictionaries(KEYS, st.integers(0, 9)), KEYS, KEYS)
def test_a_draft_shows_its_writes_among_those_of_the_state_in_the_order_of_bytes(
    old: dict[str, int], new: dict[str, int], start: str, end: str
) -> None:
    state = DictState("ledger")
    state.commit({key: _marker(at).encode() for key, at in old.items()})
    draft = Draft(state)
    for key in new.keys() - old.keys():
        draft.put(key, _marker(new[key]))
    expected = sorted((key for key in {**old, **new} if start <= key < end), key=str.encode)
    assert [key for key, _ in draft.range(start, end)] == expected
    assert [key for key, _ in state.range(start, end)] == [key for key in expected if key in old]
    for key in {**old, **new}:
        assert read(draft, key, Marker) == _marker({**new, **old}[key])
    state.commit(draft.writes)
    assert list(state.range(start, end)) == list(draft.range(start, end))


def test_a_draft_overwrites_neither_the_state_s_records_nor_its_own() -> None:
    state = DictState("ledger")
    state.commit({"a": b"1"})
    draft = Draft(state)
    draft.put("b", _marker(1))
    for key in ("a", "b"):
        with pytest.raises(KeyOverwrittenError):
            draft.put(key, _marker(2))
    assert list(draft.writes) == ["b"]
    assert draft.ledger == "ledger"


def test_a_commit_that_would_overwrite_commits_nothing() -> None:
    state = DictState("ledger")
    state.commit({"a": b"1"})
    with pytest.raises(KeyOverwrittenError):
        state.commit({"b": b"2", "a": b"3"})
    assert state.records == {"a": b"1"}


def test_the_writes_of_a_draft_are_a_copy() -> None:
    draft = Draft(DictState("ledger"))
    draft.writes["a"] = b"1"
    assert draft.get("a") is None


def test_what_is_not_there_is_none() -> None:
    state = DictState("ledger")
    assert state.get("a") is None
    assert read(state, "a", Marker) is None
    assert list(state.range("a", "z")) == []


@given(st.dictionaries(KEYS, st.integers(0, 9).map(lambda at: _marker(at).encode()), max_size=4))
def test_the_digest_of_writes_does_not_depend_on_their_order(writes: dict[str, bytes]) -> None:
    assert writes_digest(dict(reversed(writes.items()))) == writes_digest(writes)
    pairs = [[key, writes[key].decode()] for key in sorted(writes)]
    assert writes_digest(writes) == hashlib.sha256(canonical(pairs)).hexdigest()
