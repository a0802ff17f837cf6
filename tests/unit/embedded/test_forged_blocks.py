"""What one can do who may write every block and compute every hash, but has no member's key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consilo.embedded.blocks import Block, decode_block
from consilo.protocol.canonical import digest
from consilo.protocol.state import writes_digest
from consilo.protocol.transaction import Transaction
from consilo.verification.embedded import replay
from tests.unit.embedded.altering import first, head_of, rechained
from tests.unit.embedded.parties import NOW, PARTY, Party, genesis_of


def entry_changed(**update: object) -> Callable[[Block], Block]:
    def change(block: Block) -> Block:
        entries = list(block.entries)
        entries[0] = entries[0].model_copy(update=update)
        return block.model_copy(update={"entries": tuple(entries)})

    return change


def transaction_changed(change: Callable[[Transaction], Transaction]) -> Callable[[Block], Block]:
    return lambda block: entry_changed(transaction=change(block.entries[0].transaction))(block)


def body_changed(transaction: Transaction) -> Transaction:
    payload = transaction.payload.model_copy(update={"body": {**transaction.payload.body, "reason": "forged"}})
    return transaction.model_copy(update={"payload": payload})


FORGER = Party.create()


FORGERIES: dict[str, tuple[Callable[[Block], Block], str]] = {
    "other-body": (transaction_changed(body_changed), "transition"),
    "of-another-ca": (transaction_changed(lambda _: FORGER.revocation(5)), "transition"),
    "other-roots": (transaction_changed(lambda _: FORGER.registration(version=2)), "transition"),
    "repeated": (entry_changed(transaction=PARTY.registration(), vouched=True), "transition"),
    "repeated-in-block": (lambda block: block.model_copy(update={"entries": block.entries[:1] * 2}), "transition"),
    "another-transaction": (transaction_changed(lambda _: PARTY.revocation(12345)), "writes"),
    "vouched": (entry_changed(vouched=True), "vouched"),
    "not-vouched": (entry_changed(transaction=PARTY.registration()), "vouched"),
    "earlier": (entry_changed(time=NOW), "time"),
    "after-expiry": (entry_changed(time=NOW + 10**12), "transition"),
    "later": (entry_changed(time=NOW + 35), "writes"),
    "other-writes": (entry_changed(writes=writes_digest({})), "writes"),
    "height": (lambda block: block.model_copy(update={"height": 5}), "chain"),
    "ledger": (lambda block: block.model_copy(update={"ledger": "other"}), "chain"),
    "previous": (lambda block: block.model_copy(update={"previous": "0" * 64}), "chain"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_block_is_found_where_it_was_forged_although_all_hashes_fit(bodies: list[bytes], forgery: str) -> None:
    change, step = FORGERIES[forgery]

    assert first(replay(rechained(bodies, 4, change))) == (step, 4)


def test_a_forged_event_is_found(bodies: list[bytes]) -> None:
    def change(block: Block) -> Block:
        event = block.entries[0].event.model_copy(update={"effects": ("run-finished",)})
        return entry_changed(event=event)(block)

    assert first(replay(rechained(bodies, 4, change))) == ("event", 4)


def test_a_block_left_out_is_only_seen_by_the_head_but_then_it_is(bodies: list[bytes]) -> None:
    # Revocations do not depend on each other, and one who writes the file can leave one out.
    shorter = [*bodies[:4], *bodies[5:]]
    for place in range(4, len(shorter)):
        update = {"height": place, "previous": digest(shorter[place - 1])}
        shorter[place] = decode_block(shorter[place]).model_copy(update=update).encode()

    assert replay(shorter).ok
    assert first(replay(shorter, expected_head=head_of(bodies[:6]))) == ("head", 5)


def test_a_registration_is_vouched_for_by_the_genesis_alone(bodies: list[bytes]) -> None:
    other = genesis_of(Party.create())
    chain = [other.encode(), *bodies[1:]]
    chain[1] = decode_block(chain[1]).model_copy(update={"previous": digest(chain[0])}).encode()

    assert first(replay(chain)) == ("vouched", 1)
    chain[1] = entry_changed(vouched=False)(decode_block(chain[1])).encode()
    assert first(replay(chain)) == ("transition", 1)
