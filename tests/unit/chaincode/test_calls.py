"""Calls of the chaincode other than good transactions: queries, and what is no call at all."""

from __future__ import annotations

import pytest

from consilo.protocol import keys
from consilo.protocol.canonical import canonical
from consilo.protocol.queries import QUERIES, KeyedRecord, Page, Records, answer
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState
from tests.simulators import Consortium
from tests.unit.chaincode.conftest import ConnectPeer
from tests.unit.chaincode.peer import ChaincodeMessage

ARGUMENTS: dict[str, dict[str, object]] = {
    "organisation": {"msp": "HospitalA"},
    "organisations": {},
    "standing": {"msp": "HospitalA", "serials": ["abc"]},
    "run_names": {},
    "run_status": {"run": "trial"},
    "round": {"run": "trial", "round": 0},
    "permission": {
        "run": "trial",
        "reader": "HospitalA/auditor",
        "artifact": {"kind": "global", "round": 0, "attempt": 0, "sha256": "0" * 64},
    },
    "records": {"prefix": "run/trial/", "after": "", "limit": 1000},
    "artifacts": {"run": "trial", "organisations": ["HospitalA"], "after": "", "limit": 100},
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_is_answered_as_the_protocol_answers_it(
    name: str, consortium: Consortium, connect: ConnectPeer
) -> None:
    consortium.running()
    consortium.complete_round()
    arguments = canonical(ARGUMENTS[name])
    result = await (await connect(consortium.state)).call(b"query", name.encode(), arguments)
    assert (result.status, result.message) == (200, "")
    expected = answer(consortium.state, name, QUERIES[name].arguments.decode(arguments))
    assert result.payload == expected.encode()
    assert (result.writes, result.event) == ({}, None)


async def test_a_query_does_not_mind_the_clock(consortium: Consortium, connect: ConnectPeer) -> None:
    result = await (await connect(consortium.state)).call(b"query", b"run_names", b"{}", time=1)
    assert result.status == 200


async def test_a_query_that_the_protocol_refuses_is_refused_in_its_words(
    consortium: Consortium, connect: ConnectPeer
) -> None:
    result = await (await connect(consortium.state)).call(b"query", b"run_status", b'{"run":"unheard-of"}')
    with pytest.raises(Refusal) as refused:
        answer(consortium.state, "run_status", QUERIES["run_status"].arguments.decode(b'{"run":"unheard-of"}'))
    assert result.status == 400
    assert result.refusal.code == refused.value.code == "run-unknown"
    assert result.refusal.message == refused.value.message
    assert result.refusal.retryable


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "function-unknown"),
        ((b"",), "function-unknown"),
        ((b"Submit", b"{}"), "function-unknown"),
        ((b"\xff\xfe",), "function-unknown"),
        ((b"submit",), "malformed"),
        ((b"submit", b"{}", b"{}"), "malformed"),
        ((b"submit", b""), "malformed"),
        ((b"submit", b"\xff"), "malformed"),
        ((b"submit", b"{}"), "malformed"),
        ((b"submit", b'{"payload":1,"payload":2}'), "malformed"),
        ((b"submit", b"[" * 100_000), "malformed"),
        ((b"query",), "malformed"),
        ((b"query", b"run_names"), "malformed"),
        ((b"query", b"run_names", b""), "malformed"),
        ((b"query", b"run_names", b'{"unknown":1}'), "malformed"),
        ((b"query", b"run_status", b'{"run":"Not a name"}'), "malformed"),
        ((b"query", b"records", b'{"prefix":"run/","after":"","limit":100000}'), "malformed"),
        ((b"query", b"no-such", b"{}"), "function-unknown"),
        ((b"query", b"\xff", b"{}"), "function-unknown"),
        ((b"query", b"run_names", b"{}", b"{}"), "malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:40],
)
async def test_what_is_no_call_is_refused_for_good(
    arguments: tuple[bytes, ...], code: str, connect: ConnectPeer
) -> None:
    result = await (await connect(DictState("consilo"))).call(*arguments)
    assert result.status == 400
    assert (result.refusal.code, result.refusal.retryable) == (code, False)
    assert (result.writes, result.event, result.simulation.asked) == ({}, None, {})


async def test_pages_of_records_of_any_length_meet_without_a_gap(connect: ConnectPeer) -> None:
    state = DictState("consilo")
    state.commit({f"runs/run-{number:04}": b"{}" for number in range(450)})
    state.commit({"runs0": b"{}", "run/trial/proposal": b"{}"})
    peer = await connect(state)
    for limit in (1000, 450, 101, 100, 99):
        found: list[KeyedRecord] = []
        after: str | None = ""
        while after is not None:
            asked = Page(prefix="runs/", after=after, limit=limit)
            result = await peer.call(b"query", b"records", asked.encode())
            page = Records.decode(result.payload)
            found += page.records
            after = page.after
            assert result.simulation.iterators == {}, "a range that is given up is closed"
        assert [each.key for each in found] == [key for key, _ in state.range("runs/", keys.end_of("runs/"))]


async def test_a_range_that_is_read_to_its_end_is_not_closed_again(connect: ConnectPeer) -> None:
    state = DictState("consilo")
    peer = await connect(state)
    for number in range(3):
        state.commit({f"runs/run-{number}-{index:03}": b"{}" for index in range(100)})
        result = await peer.call(b"query", b"run_names", b"{}")
        assert result.simulation.asked == {"GET_STATE_BY_RANGE": 1} | ({"QUERY_STATE_NEXT": number} if number else {})


async def test_an_initialisation_is_a_call_like_any_other(connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"))
    assert (await peer.call(b"query", b"run_names", b"{}", kind=ChaincodeMessage.INIT)).status == 200
    assert (await peer.call(b"init", kind=ChaincodeMessage.INIT)).refusal.code == "function-unknown"
