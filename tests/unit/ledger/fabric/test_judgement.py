"""A refusal stands at once when nothing newer is known that would change it; else somebody may be behind."""

from __future__ import annotations

import pytest

from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState
from consilo.protocol.transaction import Transaction
from services.ledger.fabric.answers import MISMATCH, Answer
from services.ledger.fabric.judgement import Judgement, judge
from services.ledger.port import LedgerUnavailable
from tests.fabric_blocks import FabricChannel
from tests.simulated_members import START_MS
from tests.unit.ledger.fabric.channels import add, registration, revocation
from tests.unit.ledger.fabric.details import refused


def answer(msp: str, said: str) -> Answer:
    return Answer(f"{msp.lower()}:7051", msp, said)


def judged(*answers: Answer, state: DictState, transaction: Transaction, asked: str = "HospitalA") -> Judgement:
    return judge(answers, asked, state, transaction, START_MS, vouched=False)


@pytest.fixture
def channel() -> FabricChannel:
    made = FabricChannel()
    add(made, registration(made))
    return made


def test_what_the_replica_refuses_too_is_final_in_the_endorsers_words(channel: FabricChannel) -> None:
    add(channel, revocation(channel, 1))
    judgement = judged(
        answer("HospitalA", refused("already-revoked", "their words")),
        state=channel.state,
        transaction=revocation(channel, 1, reason="another"),
    )
    assert judgement.is_final
    assert isinstance(judgement.verdict, Refusal)
    assert (judgement.verdict.code, judgement.verdict.message) == ("already-revoked", "their words")


@pytest.mark.parametrize("code", ["organisation-unknown", "already-revoked"])
def test_what_the_replica_admits_is_tried_again_first(channel: FabricChannel, code: str) -> None:
    judgement = judged(answer("HospitalA", refused(code)), state=channel.state, transaction=revocation(channel, 1))
    assert not judgement.is_final
    assert isinstance(judgement.verdict, Refusal)
    assert judgement.verdict.code == code


def test_what_the_replica_refuses_otherwise_is_tried_again_first(channel: FabricChannel) -> None:
    transaction = revocation(channel, 1)
    judgement = judged(
        answer("HospitalA", refused("certificate-revoked")), state=DictState("test"), transaction=transaction
    )
    assert not judgement.is_final


def test_what_the_replica_has_applied_is_tried_again(channel: FabricChannel) -> None:
    transaction = revocation(channel, 1)
    add(channel, transaction)
    judgement = judged(
        answer("HospitalA", refused("organisation-unknown")), state=channel.state, transaction=transaction
    )
    assert not judgement.is_final


def test_whether_the_ledger_vouches_counts(channel: FabricChannel) -> None:
    transaction = registration(channel, "HospitalB")
    answers = (answer("HospitalA", refused("registration-not-vouched")),)
    state = channel.state
    assert judge(answers, "HospitalA", state, transaction, START_MS, vouched=False).is_final
    assert not judge(answers, "HospitalA", state, transaction, START_MS, vouched=True).is_final


def test_others_that_refuse_what_the_own_peer_admits_differ(channel: FabricChannel) -> None:
    judgement = judged(
        answer("HospitalB", refused("already-revoked")),
        answer("HospitalC", "connection refused"),
        state=channel.state,
        transaction=revocation(channel, 1),
    )
    assert not judgement.is_final
    assert isinstance(judgement.verdict, LedgerUnavailable)
    assert judgement.verdict.code == "endorsers-differ"
    for words in ("with the peer of HospitalA", "HospitalB (hospitalb:7051): refused, already-revoked", "HospitalC"):
        assert words in judgement.verdict.message


@pytest.mark.parametrize("second", [refused("run-unknown"), MISMATCH], ids=["other-refusal", "other-result"])
def test_endorsers_that_say_different_things_differ(channel: FabricChannel, second: str) -> None:
    judgement = judged(
        answer("HospitalB", refused("already-revoked")),
        answer("HospitalC", second),
        state=channel.state,
        transaction=revocation(channel, 1),
    )
    assert not judgement.is_final
    assert isinstance(judgement.verdict, LedgerUnavailable)
    assert judgement.verdict.code == "endorsers-differ"


@pytest.mark.parametrize(("code", "final"), [("clock-differs", True), ("defect", False), ("new-in-a-later-one", False)])
def test_codes_that_are_not_the_protocols_keep_their_names(channel: FabricChannel, code: str, final: bool) -> None:
    judgement = judged(
        answer("HospitalC", refused(code, "words")), state=channel.state, transaction=revocation(channel, 1)
    )
    assert judgement.is_final == final
    assert isinstance(judgement.verdict, LedgerUnavailable)
    assert (judgement.verdict.code, judgement.verdict.message) == (code, "HospitalC's peer: words")
