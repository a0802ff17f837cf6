"""Errors say which organisation's peer refused and why, as far as the bytes let it be read."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import given
from hypothesis import strategies as st

from consilo.fabric.receipts import RefusalText
from services.ledger.fabric.answers import DETAILS_KEY, MISMATCH, Answer, answers_in
from tests.unit.ledger.fabric.details import details, refused


def test_every_peer_is_named_with_its_words() -> None:
    long = "x" * 1000
    status = details(("a:1", "HospitalA", "down"), ("b:2", "HospitalB", long), ("c:3", "", ""))
    found = answers_in([("other", "text"), (DETAILS_KEY, status)])
    assert found == (Answer("a:1", "HospitalA", "down"), Answer("b:2", "HospitalB", long), Answer("c:3", "", ""))
    assert str(found[0]) == "HospitalA (a:1): down"
    assert str(found[2]) == "an unnamed organisation (c:3): "


def test_a_refusal_of_the_chaincode_is_read_from_the_message() -> None:
    answer = Answer("a:1", "HospitalA", refused("run-unknown", 'no run "x",\nat all'))
    assert answer.refusal == RefusalText(code="run-unknown", message='no run "x",\nat all', retryable=False)
    assert str(answer) == 'HospitalA (a:1): refused, run-unknown: no run "x",\nat all'
    assert not answer.differs


@pytest.mark.parametrize(
    "message",
    [
        "",
        "could not launch chaincode",
        "chaincode response 500, Invalid chain ID",
        'chaincode response 400, {"code":"x"}',
        'prefix chaincode response 400, {"code":"x","message":"","retryable":false}',
    ],
    ids=["empty", "no-response", "no-json", "other-json", "not-at-the-start"],
)
def test_what_is_no_refusal_is_taken_for_none(message: str) -> None:
    assert Answer("a:1", "HospitalA", message).refusal is None


def test_a_peer_that_came_to_another_result_is_told_from_others() -> None:
    assert Answer("a:1", "HospitalA", MISMATCH).differs
    assert not Answer("a:1", "HospitalA", "down").differs


def test_there_are_no_answers_without_details() -> None:
    assert answers_in([]) == ()
    assert answers_in([(DETAILS_KEY, b"")]) == ()
    assert answers_in([(DETAILS_KEY, details())]) == ()
    assert answers_in([("trailer", b"\x00")]) == ()


def test_details_of_other_kinds_are_passed_over() -> None:
    other = AnyMessage(type_url="type.googleapis.com/google.rpc.Help", value=b"\x0a\x00")
    data = other.SerializeToString()
    status = details(("a:1", "HospitalA", "down")) + bytes([3 << 3 | 2, len(data)]) + data
    assert answers_in([(DETAILS_KEY, status)]) == (Answer("a:1", "HospitalA", "down"),)


@given(st.binary(max_size=200))
def test_bytes_that_cannot_be_read_explain_nothing_and_break_nothing(data: bytes) -> None:
    for answer in answers_in([(DETAILS_KEY, data)]):
        str(answer)


@given(st.integers(min_value=0, max_value=60))
def test_details_that_were_cut_off_give_what_is_whole(length: int) -> None:
    status = details(("a:1", "HospitalA", "down"), message="")
    found = answers_in([(DETAILS_KEY, status[:length])])
    assert found in ((), (Answer("a:1", "HospitalA", "down"),))
