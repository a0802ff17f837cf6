"""Every code of the table of refusals is met, by at least one attack or fault each."""

from __future__ import annotations

import re

import pytest

from consilo.protocol import keys
from consilo.protocol.refusals import REFUSALS, InvalidInput, Refusal
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import COMMON_REFUSALS, TRANSITIONS
from tests.simulated_members import (
    early_identity,
)
from tests.simulators import Consortium
from tests.unit.protocol import refused_members_and_runs, refused_rounds

WAYS = {**refused_members_and_runs.WAYS, **refused_rounds.WAYS}
"""By code: what makes a transaction that is refused with it."""


def test_there_is_a_way_to_every_code() -> None:
    # `too-large` comes from reading bytes, before there is a transaction: below.
    assert {*WAYS, "too-large"} == set(REFUSALS)


@pytest.mark.parametrize("code", WAYS)
def test_a_refusal_has_the_code_of_its_cause(code: str) -> None:
    c = Consortium(silos=3, verifiers=2)
    transaction = WAYS[code](c)
    with c.refused(code):
        c.send(transaction)


@pytest.mark.parametrize("code", WAYS)
def test_a_refused_transaction_is_refused_again_and_leaves_no_mark(code: str) -> None:
    c = Consortium(silos=3, verifiers=2)
    transaction = WAYS[code](c)
    for _ in range(2):
        with c.refused(code):
            c.send(transaction)
    assert c.state.get(keys.transaction(transaction.id)) is None


def test_bytes_beyond_the_limit_are_too_large() -> None:
    data = Consortium().make.propose_run().encode()
    assert Transaction.parse(data, max_bytes=len(data)).encode() == data
    with pytest.raises(InvalidInput) as caught:
        Transaction.parse(data, max_bytes=len(data) - 1)
    assert caught.value.code == "too-large"


def test_a_certificate_counts_only_from_its_first_moment_on() -> None:
    c = Consortium()
    early = early_identity("HospitalA/operator")
    transaction = c.make.propose_run(by=early)
    with c.refused("certificate-expired"):
        c.send(transaction)
    c.advance(early.certificate.not_before - c.clock)
    c.send(transaction)


def test_codes_are_words_and_hyphens_and_every_meaning_is_a_sentence() -> None:
    for code, kind in REFUSALS.items():
        assert kind.code == code
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert kind.meaning[0].isupper()
        assert kind.meaning.endswith(".")


def test_a_refusal_knows_whether_it_is_worth_trying_again() -> None:
    assert Refusal("too-early", "wait").retryable
    assert not Refusal("round-closed", "over").retryable


def test_every_code_is_announced_by_some_transition() -> None:
    announced = {code for row in TRANSITIONS.values() for code in row.refusals}
    assert announced | set(COMMON_REFUSALS) == set(REFUSALS)
