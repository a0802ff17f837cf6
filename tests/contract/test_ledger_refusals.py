"""What every ledger refuses: code, words and whether to try again, as the table of transitions says."""

from __future__ import annotations

from typing import Final

import pytest
from pydantic import JsonValue

from consilo.protocol.refusals import Refusal
from consilo.protocol.transaction import Payload, Transaction
from tests.contract.ledger_under_test import LedgerUnderTest, handed_in
from tests.unit.protocol import refused_members_and_runs, refused_rounds

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_BY_PLAYING: Final = {
    "attempts-exhausted": "takes 9,999 attempts; the table's own tests write the last one into the state by hand",
    "too-large": "the ledger's own limit, and no matter of the table: below",
}
"""Refusals that no ledger here is played to, and why."""

WAYS: Final = {
    code: way
    for code, way in {**refused_members_and_runs.WAYS, **refused_rounds.WAYS}.items()
    if code not in NOT_BY_PLAYING
}


@pytest.mark.parametrize("code", WAYS)
async def test_a_refusal_is_that_of_the_table_of_transitions(ledger: LedgerUnderTest, code: str) -> None:
    c = ledger.consortium(code)
    transaction = WAYS[code](c)
    await ledger.play(c.take())
    before = await (await ledger.reader()).head()
    for _ in range(2):
        with c.refused(code):
            c.send(transaction)
    await ledger.play(c.take())
    assert await (await ledger.reader()).head() == before


async def test_more_bytes_than_the_ledger_takes_are_too_large(ledger: LedgerUnderTest) -> None:
    c = ledger.consortium("too-large")
    c.running()
    await ledger.play(c.take())
    before = await (await ledger.reader()).head()
    answer = await handed_in(
        ledger.next_gateway(), c.make.stop_run("HospitalA", reason="x" * (ledger.max_transaction_bytes + 1))
    )
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.retryable) == ("too-large", False)
    assert await (await ledger.reader()).head() == before


def _nested(depth: int) -> JsonValue:
    value: JsonValue = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [1.5, 2**60, "\ud800", _nested(28), _nested(31), _nested(200)],
    ids=["fraction", "large", "surrogate", "nested-28", "nested-31", "nested-200"],
)
async def test_what_has_no_canonical_form_is_malformed_and_stops_nobody(
    ledger: LedgerUnderTest, value: JsonValue
) -> None:
    c = ledger.consortium("no-canonical-form")
    good = c.make.propose_run()
    payload = Payload(ledger=ledger.name, member="HospitalA/operator", type="stop_run", body={"run": value})
    bad = Transaction(payload=payload, certificates=good.certificates, signature=good.signature)
    answer = await handed_in(ledger.next_gateway(), bad)
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.retryable) == ("malformed", False)
    c.send(good)
    await ledger.play(c.take())
