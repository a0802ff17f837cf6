"""The form of blocks and positions, and for whom the genesis vouches."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from consilo.embedded.blocks import Block, Entry, Genesis, check_fits, decode_block, decode_genesis, vouched
from consilo.embedded.positions import Position
from consilo.embedded.settings import LedgerSettings
from consilo.protocol.apply import Event
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.transaction import Payload, Transaction
from tests.unit.embedded.parties import NOW, Party, genesis_of

PARTY = Party.create()
OTHER = Party.create("HospitalB")
GENESIS = genesis_of(PARTY, OTHER)


def make_block() -> Block:
    transaction = PARTY.registration()
    event = Event(
        transaction=transaction.id,
        type="register_organisation",
        member="HospitalA/operator",
        run=None,
        round=None,
        attempt=None,
        effects=(),
    )
    entry = Entry(transaction=transaction, time=NOW, vouched=True, event=event, writes="0" * 64)
    return Block(ledger="test", height=1, previous="0" * 64, entries=(entry,))


def test_a_block_is_read_back_from_its_bytes() -> None:
    block = make_block()

    assert decode_block(block.encode()) == block
    assert decode_genesis(GENESIS.encode()) == GENESIS


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b" ",
        lambda data: b" " + data,
        lambda data: data.replace(b'"height":1', b'"height":1.0'),
        lambda data: data.replace(b'"height":1', b'"height":1,"height":1'),
        lambda data: data.replace(b'"height":1', b'"extra":1,"height":1'),
        lambda data: data.replace(b'"height":1', b'"height": 1'),
        lambda data: data.replace(b'"height":1', b'"height":0'),
        lambda data: data.replace(b'"reason"', b'"re\\u0061son"').replace(b'"gateway"', b'"g\\u0061teway"'),
        lambda data: data.replace(b'"ledger":"test"', b'"ledger":"test\\n"'),
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"[" * 100_000,
        lambda data: b"\xff",
    ],
)
def test_anything_but_the_canonical_bytes_of_a_block_is_refused(change: object) -> None:
    with pytest.raises(InvalidInput):
        decode_block(change(make_block().encode()))  # type: ignore[operator]


def test_a_genesis_is_no_block_and_a_block_no_genesis() -> None:
    with pytest.raises(InvalidInput):
        decode_block(GENESIS.encode())
    with pytest.raises(InvalidInput):
        decode_genesis(make_block().encode())


def test_a_genesis_needs_an_organisation() -> None:
    with pytest.raises(ValueError, match="organisations"):
        Genesis(ledger="test", organisations={}, created_at=NOW)


def test_the_genesis_vouches_for_a_first_registration_with_the_roots_it_names() -> None:
    assert vouched(GENESIS, PARTY.registration())
    assert vouched(GENESIS, OTHER.registration())


@pytest.mark.parametrize(
    "transaction",
    [
        PARTY.registration(version=2),
        PARTY.registration(roots=OTHER.roots),
        PARTY.registration(roots=(*PARTY.roots, *OTHER.roots)),
        PARTY.registration(roots=("not base64",)),
        Party.create("HospitalC").registration(),
        PARTY.revocation(1),
    ],
    ids=["later-version", "other-roots", "more-roots", "malformed", "not-in-genesis", "other-transaction"],
)
def test_the_genesis_vouches_for_nothing_else(transaction: Transaction) -> None:
    assert not vouched(GENESIS, transaction)


def test_what_fits_by_itself_but_not_into_a_block_is_found_before_it_stops_a_block() -> None:
    value: JsonValue = 0
    for _ in range(28):
        value = [value]
    template = PARTY.registration()
    body = Payload(ledger="test", member="HospitalA/operator", type="propose_run", body={"deep": value})
    transaction = Transaction(payload=body, certificates=template.certificates, signature=template.signature)

    assert transaction.encode()
    with pytest.raises(InvalidInput, match="nested deeper"):
        check_fits(transaction)


def test_the_size_of_a_transaction_is_that_of_its_bytes() -> None:
    assert check_fits(PARTY.registration()) == len(PARTY.registration().encode())


def test_positions_are_ordered_and_read_back() -> None:
    positions = [Position(0, 0), Position(1, 0), Position(1, 10), Position(2, 0)]

    assert sorted(positions, reverse=True) == positions[::-1]
    assert [Position.parse(str(position)) for position in positions] == positions


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "-1.0", "01.0", "1.00", "1.0\n", " 1.0", "1.0.0", "٣.0", "9" * 16 + ".0"]
)
def test_other_spellings_of_a_position_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        Position.parse(text)


def test_limits_must_be_positive_and_agree() -> None:
    with pytest.raises(ValueError, match="max_queued_transactions"):
        LedgerSettings(max_queued_transactions=0)
    with pytest.raises(ValueError, match="at most max_block_bytes"):
        LedgerSettings(max_block_bytes=100, max_transaction_bytes=101)
