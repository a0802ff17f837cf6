"""What no caller is to blame for: defects, and peers that fail a transaction. It is told at once; the rest lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from chaincode.functions import Functions
from chaincode.transaction import describe
from consilo.protocol.bodies import StopRun
from consilo.protocol.errors import ProtocolError
from consilo.protocol.state import DictState
from tests.simulators import Consortium
from tests.unit.chaincode.conftest import ConnectPeer, StartServer
from tests.unit.chaincode.peer import ChaincodeMessage, Result

SECRET = "what-nobody-may-log"


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as events:
        yield events


async def assert_serves(peer: Any) -> None:
    assert (await peer.call(b"query", b"run_names", b"{}")).status == 200


def assert_defect(result: Result, *, retryable: bool) -> None:
    assert result.status == 500
    assert (result.refusal.code, result.refusal.retryable) == ("defect", retryable)
    assert SECRET not in result.message
    assert (result.event, result.payload) == (None, b"")


@pytest.mark.parametrize(
    "record",
    [b"not JSON " + SECRET.encode(), b'{"specification":"' + SECRET.encode() + b'"}', b"\xff"],
    ids=["no-json", "no-record", "no-text"],
)
async def test_a_record_that_cannot_be_read_is_a_defect_and_not_the_callers_fault(
    record: bytes, consortium: Consortium, connect: ConnectPeer, logged: list[Any]
) -> None:
    consortium.proposed()
    transaction = consortium.make.approve_run("HospitalB")
    consortium.state.records["run/trial/proposal"] = record
    peer = await connect(consortium.state)
    result = await peer.call(b"submit", transaction.encode(), time=consortium.clock)
    assert_defect(result, retryable=False)
    assert result.writes == {}
    assert SECRET not in repr(logged)
    await assert_serves(peer)


async def test_a_defect_is_answered_at_once_without_its_details_which_are_logged(
    consortium: Consortium, connect: ConnectPeer, start_server: StartServer, logged: list[Any]
) -> None:
    def broken_clock() -> int:
        raise RuntimeError(SECRET)

    peer = await connect(consortium.state, await start_server(Functions(60_000, broken_clock)))
    result = await peer.call(b"submit", consortium.make.propose_run().encode(), time=consortium.clock)
    assert_defect(result, retryable=False)
    assert "RuntimeError" not in result.message
    (told,) = [event for event in logged if event["log_level"] == "error"]
    assert told["defect"][0] == "RuntimeError"
    assert any("broken_clock" in line for line in told["defect"])
    assert SECRET not in repr(logged)
    await assert_serves(peer)


async def test_a_proposal_that_cannot_be_read_is_a_defect(connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"))
    assert_defect(await peer.call(b"query", b"run_names", b"{}", proposal=b"\xff"), retryable=False)
    await assert_serves(peer)


@pytest.mark.parametrize("kind", [ChaincodeMessage.GET_STATE, ChaincodeMessage.PUT_STATE], ids=["reading", "writing"])
async def test_a_peer_that_answers_with_an_error_fails_the_transaction_for_now(
    kind: int, consortium: Consortium, connect: ConnectPeer
) -> None:
    def fail(request: Any) -> Any:
        if request.type == kind:
            return ChaincodeMessage(type=ChaincodeMessage.ERROR, payload=b"GET_STATE failed: no ledger context")
        return ...

    peer = await connect(consortium.state)
    transaction = consortium.make.propose_run().encode()
    result = await peer.call(b"submit", transaction, time=consortium.clock, interfere=fail)
    assert_defect(result, retryable=True)
    assert (await peer.call(b"submit", transaction, time=consortium.clock)).status == 200


async def test_a_peer_that_does_not_answer_in_time_fails_the_transaction_for_now(
    consortium: Consortium, connect: ConnectPeer, start_server: StartServer
) -> None:
    peer = await connect(consortium.state, await start_server(answer_timeout_seconds=0.05))
    transaction = consortium.make.propose_run().encode()
    simulation = await peer.begin(b"submit", transaction, time=consortium.clock, interfere=lambda _: None, txid="slow")
    assert_defect(await peer.result(simulation), retryable=True)
    assert simulation.asked == {"GET_STATE": 1}
    late = ChaincodeMessage(type=ChaincodeMessage.RESPONSE, payload=b"late", txid="slow", channel_id=peer.channel)
    await peer.send(late)
    assert (await peer.call(b"submit", transaction, time=consortium.clock)).status == 200


async def test_an_answer_that_is_none_of_the_protocol_is_a_defect(connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"))

    def garble(_: Any) -> Any:
        return ChaincodeMessage(type=ChaincodeMessage.RESPONSE, payload=b"\xff\xff")

    assert_defect(await peer.call(b"query", b"run_names", b"{}", interfere=garble), retryable=False)
    await assert_serves(peer)


def test_a_description_has_types_and_places_and_only_the_protocols_own_messages() -> None:
    def fail() -> None:
        try:
            StopRun.model_validate({"run": SECRET})
        except ValidationError as error:
            raise ProtocolError("the record is not there") from error

    with pytest.raises(ProtocolError) as caught:
        fail()
    told = describe(caught.value)
    assert told[0] == "ProtocolError: the record is not there"
    assert "ValidationError" in told
    assert any(line.endswith(" fail") for line in told)
    assert SECRET not in repr(told)
