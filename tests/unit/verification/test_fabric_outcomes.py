"""The replay of a ledger on Fabric, against endorsers in league: enough of them to satisfy the policy sign for what the
rules do not make. Generates keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import proposal_pb2

from consilo.fabric.receipts import Receipt
from consilo.protocol.refusals import Refusal
from tests.fabric_members import organisation
from tests.fabric_requests import Request
from tests.unit.verification.fabric_ledgers import FIRST, Ledger, admitted, encoded, first, flipped, in_the_next_block


def endorsed_lie(change: Callable[[Any], None]) -> tuple[str, int | None, int | None]:
    """What the replay finds when enough peers sign for another outcome."""
    return in_the_next_block(lambda _, request: request.changed(change, endorsed_again=True))


def test_endorsed_writes_that_the_rules_do_not_make_are_found() -> None:
    def endorse(change: Callable[[Any], None]) -> tuple[str, int | None, int | None]:
        return in_the_next_block(lambda _, request: request.with_writes(change, endorsed_again=True))

    assert endorse(flipped) == ("writes", FIRST + 3, 3)
    assert endorse(lambda writes: writes.writes.add(key="more", value=b"{}")) == ("writes", FIRST + 3, 3)
    assert endorse(lambda writes: writes.writes.pop()) == ("writes", FIRST + 3, 3)
    assert endorse(lambda writes: writes.writes.add(key="gone", is_delete=True)) == ("writes", FIRST + 3, 3)
    assert endorse(lambda writes: writes.metadata_writes.add(key="policy")) == ("writes", FIRST + 3, 3)


def test_an_endorsed_event_that_the_rules_do_not_make_is_found() -> None:
    def change(action: Any) -> None:
        action.events = action.events.replace(b'"type"', b'"kind"')

    assert endorsed_lie(change) == ("event", FIRST + 3, 3)
    assert endorsed_lie(lambda action: setattr(action, "events", b"")) == ("event", FIRST + 3, 3)


def test_an_endorsed_receipt_that_the_rules_do_not_make_is_found() -> None:
    wrong = Receipt(transaction="0" * 64, time=1, repeated=False).encode()
    assert endorsed_lie(lambda action: setattr(action.response, "payload", wrong)) == ("receipt", FIRST + 3, 3)
    assert endorsed_lie(lambda action: setattr(action.response, "status", 201)) == ("receipt", FIRST + 3, 3)


def test_an_endorsed_transaction_that_the_rules_refuse_is_found() -> None:
    ledger = Ledger(taken=3)
    refused = admitted()[-1]
    with pytest.raises(Refusal):
        ledger.channel.endorsed(refused.transaction, time=refused.time)
    ledger.channel.add(
        ledger.channel.called("consilo", (b"submit", encoded(refused.transaction)), {}, time=refused.time)
    )
    assert first(ledger.replayed()) == ("transition", FIRST + 3, 3)


def test_an_endorsed_transaction_that_no_member_signed_is_a_matter_of_step_2() -> None:
    ledger = Ledger(taken=3)
    forged = ledger.revocation(1).model_copy(update={"signature": ledger.revocation(2).signature})
    ledger.channel.add(ledger.channel.called("consilo", (b"submit", encoded(forged)), {}, time=admitted()[3].time))
    assert first(ledger.replayed()) == ("transition", FIRST + 3, 2)


def test_a_registration_by_another_organisation_s_gateway_is_found() -> None:
    ledger = Ledger()
    coming = ledger.coming()
    stranger = organisation("HospitalB").client
    with pytest.raises(Refusal, match="vouch"):
        ledger.channel.endorsed(coming.transaction, time=coming.time, creator=stranger)
    ledger.channel.add(
        ledger.channel.called(
            "consilo", (b"submit", encoded(coming.transaction)), {}, time=coming.time, creator=stranger
        )
    )
    assert first(ledger.replayed())[:2] == ("transition", FIRST)


def test_a_time_that_is_none_is_found() -> None:
    ledger = Ledger(taken=3)
    ledger.channel.add(ledger.channel.called("consilo", (b"submit", encoded(ledger.revocation(1))), {}, time=-1))
    assert first(ledger.replayed()) == ("transition", FIRST + 3, 3)


@pytest.mark.parametrize("arguments", [(b"query", b"x", b"{}"), (b"submit", b"no JSON"), ()], ids=["a", "b", "c"])
def test_writes_by_anything_but_a_submit_are_found(arguments: tuple[bytes, ...]) -> None:
    ledger = Ledger(taken=3)
    ledger.channel.add(ledger.next().changed(lambda _: None))
    request = ledger.next()
    spoiled = ledger.channel.called("consilo", arguments, {"consilo": written(request)})
    ledger.channel.add(spoiled)
    assert first(ledger.replayed()) == ("writes", FIRST + 4, 3)


def test_writes_by_another_chaincode_need_the_endorsements_of_this_one() -> None:
    ledger = Ledger(taken=3)
    ledger.channel.add(ledger.channel.called("another", (b"do",), {"consilo": written(ledger.next())}))
    assert first(ledger.replayed()) == ("flag", FIRST + 3, 3)  # the channel defines no such chaincode


def written(request: Request) -> Any:
    """The writes of a request in the chaincode's namespace, without its reads."""
    results = rwset_pb2.TxReadWriteSet.FromString(
        proposal_pb2.ChaincodeAction.FromString(request.response.extension).results
    )
    part = next(each for each in results.ns_rwset if each.namespace == "consilo")
    return kv_rwset_pb2.KVRWSet(writes=kv_rwset_pb2.KVRWSet.FromString(part.rwset).writes)
