"""Transactions through the chaincode, over gRPC and a peer's protocol, against what the state machine says directly."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

import pytest

from consilo.fabric.receipts import Receipt, RefusalText
from consilo.protocol import keys
from consilo.protocol.apply import Outcome, apply
from consilo.protocol.bodies import GlobalArtifact
from consilo.protocol.canonical import MAX_BYTES
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState, writes_digest
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import TRANSITIONS
from consilo.protocol.values import organisation_of
from tests.simulated_members import authority, impostor_identity
from tests.simulators import Admitted, Consortium
from tests.unit.chaincode.conftest import MAX_CLOCK_DIFFERENCE_MS, PACKAGE_ID, Clock, ConnectPeer
from tests.unit.chaincode.peer import Peer, Result
from tests.unit.protocol import refused_members_and_runs, refused_rounds

REFUSED = {**refused_members_and_runs.WAYS, **refused_rounds.WAYS}


def sender(transaction: Transaction, *, vouched: bool) -> str:
    """The MSP of a creator that vouches for the transaction's member, or does not."""
    return organisation_of(transaction.payload.member) if vouched else "HospitalOther"


async def submit(peer: Peer, transaction: Transaction, time: int, *, vouched: bool = False) -> Result:
    return await peer.call(b"submit", transaction.encode(), msp=sender(transaction, vouched=vouched), time=time)


def assert_same(result: Result, outcome: Outcome, transaction: Transaction, time: int) -> None:
    assert (result.status, result.message) == (200, "")
    assert list(result.writes.items()) == list(outcome.writes.items())
    assert outcome.event is not None
    assert (result.event_name, result.event) == ("consilo", outcome.event.encode())
    assert result.payload == Receipt(transaction=transaction.id, time=time, repeated=False).encode()


async def test_the_chaincode_registers_under_its_package_id(connect: ConnectPeer) -> None:
    peer = await connect(DictState("consilo"))
    assert peer.registered_as == PACKAGE_ID


async def test_every_transaction_writes_and_tells_what_the_state_machine_says(
    connect: ConnectPeer, clock: Clock
) -> None:
    played = everything_once()
    assert {each.transaction.payload.type for each in played} == set(TRANSITIONS)
    peer = await connect(DictState("simulation"))
    for each in played:
        clock.now = each.time
        outcome = apply(peer.state, each.transaction, each.time, vouched=each.vouched)
        result = await submit(peer, each.transaction, each.time, vouched=each.vouched)
        assert_same(result, outcome, each.transaction, each.time)
        assert writes_digest(result.writes) == each.writes
        peer.state.commit(result.writes)


async def test_no_transaction_asks_for_a_key_twice(connect: ConnectPeer, clock: Clock) -> None:
    peer = await connect(DictState("simulation"))
    for each in everything_once():
        clock.now = each.time
        result = await submit(peer, each.transaction, each.time, vouched=each.vouched)
        reads = result.simulation.reads
        assert len(reads) == len(set(reads))
        # All that is written was looked up before: two transactions that write one key conflict.
        assert set(result.writes) <= set(reads)
        assert result.simulation.asked["PUT_STATE"] == len(result.writes)
        peer.state.commit(result.writes)


async def test_a_repeated_transaction_writes_nothing_and_has_the_time_of_the_first(
    connect: ConnectPeer, clock: Clock
) -> None:
    peer = await connect(DictState("simulation"))
    for each in everything_once():
        clock.now = each.time
        first = await submit(peer, each.transaction, each.time, vouched=each.vouched)
        peer.state.commit(first.writes)
        clock.now = each.time + 5000
        again = await submit(peer, each.transaction, clock.now)
        assert (again.status, again.writes, again.event) == (200, {}, None)
        assert again.payload == Receipt(transaction=each.transaction.id, time=each.time, repeated=True).encode()


@pytest.mark.parametrize("code", REFUSED)
async def test_what_the_state_machine_refuses_is_refused_in_its_words(
    code: str, connect: ConnectPeer, clock: Clock
) -> None:
    c = Consortium(silos=3, verifiers=2)
    transaction = REFUSED[code](c)
    clock.now = c.clock
    with pytest.raises(Refusal) as refused:
        apply(c.state, transaction, c.clock)
    result = await submit(await connect(c.state), transaction, c.clock)
    assert result.status == 400
    assert result.refusal == RefusalText(code=code, message=refused.value.message, retryable=refused.value.retryable)
    assert (result.writes, result.event, result.payload) == ({}, None, b"")


@pytest.mark.parametrize("nanoseconds", [0, 999_999], ids=["whole", "rounded-down"])
async def test_the_time_is_the_proposals_in_whole_milliseconds(
    nanoseconds: int, consortium: Consortium, connect: ConnectPeer
) -> None:
    transaction, time = consortium.make.propose_run(), consortium.clock + 7
    peer = await connect(consortium.state)
    result = await peer.call(b"submit", transaction.encode(), time=time, nanoseconds=nanoseconds)
    assert_same(result, apply(consortium.state, transaction, time), transaction, time)


@pytest.mark.parametrize("off", [-MAX_CLOCK_DIFFERENCE_MS, MAX_CLOCK_DIFFERENCE_MS], ids=["behind", "ahead"])
async def test_a_time_at_the_allowed_difference_is_admitted(
    off: int, consortium: Consortium, connect: ConnectPeer
) -> None:
    result = await submit(await connect(consortium.state), consortium.make.propose_run(), consortium.clock + off)
    assert result.status == 200


@pytest.mark.parametrize(
    ("off", "words"),
    [(-MAX_CLOCK_DIFFERENCE_MS - 1, "60001 ms behind"), (MAX_CLOCK_DIFFERENCE_MS + 1, "60001 ms ahead of")],
    ids=["behind", "ahead"],
)
async def test_a_time_beyond_the_allowed_difference_is_refused_for_now(
    off: int, words: str, consortium: Consortium, connect: ConnectPeer
) -> None:
    peer = await connect(consortium.state)
    result = await submit(peer, consortium.make.propose_run(), consortium.clock + off)
    assert result.status == 400
    assert (result.refusal.code, result.refusal.retryable) == ("clock-differs", True)
    assert words in result.refusal.message
    assert result.simulation.asked == {}


async def test_an_organisation_is_registered_by_its_own_msp_only(consortium: Consortium, connect: ConnectPeer) -> None:
    peer = await connect(consortium.state)
    transaction = consortium.make.register_organisation("HospitalNew")
    for msp in ("HospitalA", "hospitalnew", "HospitalNew/operator", ""):
        refused = await peer.call(b"submit", transaction.encode(), msp=msp, time=consortium.clock)
        assert refused.refusal.code == "registration-not-vouched"
    admitted = await peer.call(b"submit", transaction.encode(), msp="HospitalNew", time=consortium.clock)
    assert keys.organisation("HospitalNew", 1) in admitted.writes


async def test_only_its_own_msp_brings_new_roots_that_the_old_ones_do_not_certify(
    consortium: Consortium, connect: ConnectPeer
) -> None:
    new = authority("HospitalA", "impostor")
    transaction = consortium.make.register_organisation(
        "HospitalA", by=impostor_identity("HospitalA/operator"), roots=roots_of(new.roots)
    )
    peer = await connect(consortium.state)
    refused = await submit(peer, transaction, consortium.clock, vouched=False)
    assert refused.refusal.code == "certificate-untrusted"
    assert (await submit(peer, transaction, consortium.clock, vouched=True)).status == 200


async def test_a_transaction_that_another_chaincode_hands_in_is_refused_for_good(
    consortium: Consortium, connect: ConnectPeer
) -> None:
    consortium.running()
    transaction = consortium.make.publish_update()
    peer = await connect(consortium.state)
    result = await peer.call(b"submit", transaction.encode(), chaincode="other")
    assert (result.status, result.refusal.code, result.refusal.retryable) == (400, "function-unknown", False)
    assert (result.writes, result.event) == ({}, None)


async def test_the_channel_is_the_ledger(consortium: Consortium, connect: ConnectPeer) -> None:
    peer = await connect(consortium.state)
    peer.channel = "another"
    result = await submit(peer, consortium.make.propose_run(), consortium.clock)
    assert result.refusal.code == "wrong-ledger"


async def test_a_transaction_beyond_the_protocols_bound_is_too_large(
    consortium: Consortium, connect: ConnectPeer
) -> None:
    peer = await connect(consortium.state)
    result = await peer.call(b"submit", b" " * (MAX_BYTES + 1), time=consortium.clock)
    assert result.refusal.code == "too-large"


async def test_a_round_of_more_than_a_hundred_updates_is_closed(connect: ConnectPeer, clock: Clock) -> None:
    c = Consortium(silos=230, organisations=3)
    c.running()
    c.publish_updates()
    clock.now = c.clock
    transaction = c.make.close_round()
    result = await submit(await connect(c.state), transaction, c.clock)
    assert_same(result, apply(c.state, transaction, c.clock), transaction, c.clock)
    assert result.simulation.asked["QUERY_STATE_NEXT"] == 2
    assert result.simulation.iterators == {}


async def test_many_transactions_at_once_each_get_their_own_answer(connect: ConnectPeer, clock: Clock) -> None:
    c = Consortium(silos=60, organisations=3)
    c.running()
    clock.now = c.clock
    transactions = [c.make.publish_update(silo) for silo in c.layout.silos]
    peers = [await connect(c.state) for _ in range(2)]
    results = await asyncio.gather(
        *(submit(peer, transaction, c.clock) for transaction in transactions for peer in peers)
    )
    for transaction, ours in zip(transactions, pairs(results), strict=True):
        for result in ours:
            assert_same(result, apply(c.state, transaction, c.clock), transaction, c.clock)


def pairs(results: Sequence[Result]) -> list[Sequence[Result]]:
    return [results[start : start + 2] for start in range(0, len(results), 2)]


def roots_of(certificates: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(der).decode() for der in certificates]


def everything_once() -> list[Admitted]:
    """A history in which every kind of transaction occurs."""
    c = Consortium(silos=3, verifiers=2)
    c.propose_run(run="unwanted")
    c.reject_run("HospitalB", run="unwanted")
    c.running(rounds=2)
    c.publish_updates()
    c.record_access("HospitalA/auditor", reference(c))
    c.close_round()
    c.reopen_round(excluded={c.layout.silos[0]: "malformed"})
    c.complete_round()
    c.report_evaluation()
    c.attest_global(verdict="mismatch")
    c.revoke_member("HospitalA/auditor")
    c.continue_honestly()
    c.propose_run(run="brief")
    c.stop_run("HospitalA", run="brief")
    return c.admitted


def reference(c: Consortium) -> GlobalArtifact:
    """The latest global, to be read."""
    latest = c.latest
    return GlobalArtifact(kind="global", round=latest.round, attempt=latest.attempt, sha256=latest.artifact.sha256)
