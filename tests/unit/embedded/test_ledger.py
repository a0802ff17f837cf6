"""What an embedded ledger does with transactions, on a real file."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import JsonValue

from consilo.embedded.blocks import decode_block
from consilo.embedded.errors import LedgerClosed, LedgerCorrupt, LedgerDefect, LedgerOverloaded
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.positions import BEGINNING, Position
from consilo.embedded.receipts import Receipt
from consilo.embedded.settings import LedgerSettings
from consilo.protocol.canonical import digest
from consilo.protocol.refusals import Refusal
from consilo.protocol.transaction import Payload, Transaction
from consilo.verification.embedded import replay_file
from tests.unit.embedded.parties import (
    DEADLINE_SECONDS,
    NOW,
    PARTY,
    REVOCATIONS,
    Clock,
    Party,
    commit,
    writer_held,
)


def refusal(future: Future[Receipt]) -> str:
    error = future.exception(DEADLINE_SECONDS)
    assert isinstance(error, Refusal)
    return error.code


# Committing


def test_a_receipt_says_where_and_when(ledger: EmbeddedLedger, clock: Clock) -> None:
    clock.now = NOW + 5

    receipt = commit(ledger, REVOCATIONS[0])

    assert receipt == Receipt(REVOCATIONS[0].id, Position(2, 0), NOW + 5, ledger.head(), repeated=False)
    assert ledger.position_of(REVOCATIONS[0].id) == Position(2, 0)
    assert ledger.hash_at(2) == receipt.head.hash == digest(ledger.blocks(2, 1)[0])


def test_the_same_request_again_changes_nothing(ledger: EmbeddedLedger, clock: Clock) -> None:
    first = commit(ledger, REVOCATIONS[0])
    later = commit(ledger, REVOCATIONS[1])
    clock.now += 1000

    again = commit(ledger, PARTY.revocation(1))

    assert again == Receipt(first.transaction, first.position, first.time, later.head, repeated=True)
    assert ledger.head() == later.head


def test_the_same_request_twice_in_a_block_is_applied_once(ledger: EmbeddedLedger) -> None:
    with writer_held(ledger, REVOCATIONS[0]):
        futures = [ledger.submit(PARTY.revocation(2)) for _ in range(3)]
    receipts = [future.result(DEADLINE_SECONDS) for future in futures]

    assert [receipt.repeated for receipt in receipts] == [False, True, True]
    assert {receipt.position for receipt in receipts} == {Position(3, 0)}
    assert len(decode_block(ledger.blocks(3, 1)[0]).entries) == 1


def test_what_waits_becomes_one_block_in_the_order_of_arrival(ledger: EmbeddedLedger) -> None:
    with writer_held(ledger, REVOCATIONS[0]):
        futures = [ledger.submit(transaction) for transaction in REVOCATIONS[1:31]]
        assert not any(future.done() for future in futures)
    receipts = [future.result(DEADLINE_SECONDS) for future in futures]

    assert [receipt.position for receipt in receipts] == [Position(3, index) for index in range(30)]
    assert {receipt.head for receipt in receipts} == {ledger.head()}
    entries = decode_block(ledger.blocks(3, 1)[0]).entries
    assert [entry.transaction for entry in entries] == list(REVOCATIONS[1:31])


def test_a_transaction_is_applied_on_top_of_those_before_it_in_the_block(ledger: EmbeddedLedger) -> None:
    with writer_held(ledger, REVOCATIONS[0]):
        first = ledger.submit(PARTY.revocation(2))
        second = ledger.submit(PARTY.revocation(2, "another reason"))
        third = ledger.submit(PARTY.revocation(3))

    assert first.result(DEADLINE_SECONDS).position == Position(3, 0)
    assert refusal(second) == "already-revoked"
    assert third.result(DEADLINE_SECONDS).position == Position(3, 1)


def test_a_refused_transaction_leaves_no_trace(ledger: EmbeddedLedger) -> None:
    before = ledger.head()
    stranger = Party.create("HospitalB")

    assert refusal(ledger.submit(stranger.revocation(1))) == "organisation-unknown"
    assert refusal(ledger.submit(stranger.registration())) == "registration-not-vouched"
    assert refusal(ledger.submit(Party.create().revocation(1))) == "certificate-untrusted"
    assert ledger.head() == before
    assert ledger.position_of(stranger.revocation(1).id) is None


def test_roots_of_the_genesis_do_not_count_again_once_they_are_replaced(ledger: EmbeddedLedger) -> None:
    renewed = Party.create()
    commit(ledger, PARTY.registration(version=2, roots=renewed.roots))

    assert refusal(ledger.submit(PARTY.registration(version=3))) == "certificate-untrusted"
    assert commit(ledger, renewed.revocation(1)).position.height == 3


def test_blocks_hold_no_more_than_the_settings_allow(path: Path) -> None:
    size = len(REVOCATIONS[0].encode())
    settings = LedgerSettings(max_block_transactions=4, max_block_bytes=3 * size + 60, max_transaction_bytes=size + 900)
    with EmbeddedLedger.open(path, settings=settings, clock=Clock()) as ledger:
        with writer_held(ledger, PARTY.registration()):
            large = ledger.submit(PARTY.revocation(1, "x" * 1000))
            futures = [ledger.submit(transaction) for transaction in REVOCATIONS[1:8]]
        places = [str(future.result(DEADLINE_SECONDS).position) for future in futures]

    assert refusal(large) == "too-large"
    assert places == ["2.0", "2.1", "2.2", "3.0", "3.1", "3.2", "4.0"]
    with EmbeddedLedger.open(path, settings=LedgerSettings(max_block_transactions=2), clock=Clock()) as ledger:
        with writer_held(ledger, REVOCATIONS[9]):
            futures = [ledger.submit(transaction) for transaction in REVOCATIONS[10:13]]
        places = [str(future.result(DEADLINE_SECONDS).position) for future in futures]
    assert places == ["6.0", "6.1", "7.0"]


def test_a_request_without_a_canonical_form_is_refused_and_stops_nobody(ledger: EmbeddedLedger) -> None:
    deep: JsonValue = 0
    for _ in range(28):
        deep = [deep]
    template = REVOCATIONS[0]
    for number, value in enumerate((deep, 1.5, 2**60, "\ud800")):
        body = Payload(ledger="test", member="HospitalA/operator", type="revoke_member", body={"value": value})
        hostile = Transaction(payload=body, certificates=template.certificates, signature=template.signature)
        with writer_held(ledger, PARTY.revocation(100 + number)):
            refused = ledger.submit(hostile)
            good = ledger.submit(PARTY.revocation(200 + number))
        assert refusal(refused) == "malformed"
        assert not good.result(DEADLINE_SECONDS).repeated


def test_more_requests_than_may_wait_are_refused_at_once(path: Path) -> None:
    with EmbeddedLedger.open(path, settings=LedgerSettings(max_queued_transactions=2), clock=Clock()) as ledger:
        with writer_held(ledger, PARTY.registration()):
            futures = [ledger.submit(transaction) for transaction in REVOCATIONS[:2]]
            with pytest.raises(LedgerOverloaded):
                ledger.submit(REVOCATIONS[2])
        for future in futures:
            future.result(DEADLINE_SECONDS)
        commit(ledger, REVOCATIONS[2])


def test_a_request_that_is_withdrawn_while_it_waits_is_left_out(ledger: EmbeddedLedger) -> None:
    with writer_held(ledger, REVOCATIONS[0]):
        futures = [ledger.submit(transaction) for transaction in REVOCATIONS[1:4]]
        assert futures[1].cancel()
    receipts = [futures[0].result(DEADLINE_SECONDS), futures[2].result(DEADLINE_SECONDS)]

    assert [str(receipt.position) for receipt in receipts] == ["3.0", "3.1"]
    assert ledger.position_of(REVOCATIONS[2].id) is None


def test_closing_commits_what_waits_and_takes_nothing_more(path: Path) -> None:
    ledger = EmbeddedLedger.open(path, clock=Clock())
    with writer_held(ledger, PARTY.registration()):
        futures = [ledger.submit(transaction) for transaction in REVOCATIONS[:5]]
        closing = threading.Thread(target=ledger.close)
        closing.start()
    closing.join(DEADLINE_SECONDS)

    assert all(future.result(0).position.height >= 2 for future in futures)
    with pytest.raises(LedgerClosed):
        ledger.submit(REVOCATIONS[5])
    with pytest.raises(LedgerClosed):
        ledger.hash_at(0)
    ledger.close()


def test_sixteen_threads_submit_at_once_and_each_transaction_is_applied_once(
    path: Path, ledger: EmbeddedLedger
) -> None:
    def send(thread: int) -> list[Receipt]:
        # Every transaction is sent by two threads.
        numbers = [1000 + (thread // 2) * 10 + index for index in range(10)]
        return [commit(ledger, PARTY.revocation(number)) for number in numbers]

    with ThreadPoolExecutor(16) as pool:
        receipts = [receipt for sent in pool.map(send, range(16)) for receipt in sent]

    fresh = [receipt for receipt in receipts if not receipt.repeated]
    assert len(fresh) == 80
    assert len({receipt.position for receipt in receipts}) == 80
    assert len(ledger.events(BEGINNING, 1000)) == 81
    assert ledger.head().height < 81, "at least some blocks hold more than one transaction"
    ledger.close()
    result = replay_file(path)
    assert result.ok
    assert result.transactions == 81


def test_a_defect_fails_the_requests_that_it_met_and_no_later_one(path: Path) -> None:
    broken = Clock()

    def clock() -> int:
        if broken.now == 0:
            raise RuntimeError("a defect")
        return broken.now

    with EmbeddedLedger.open(path, clock=clock) as ledger:
        head = commit(ledger, PARTY.registration()).head
        broken.now = 0
        with pytest.raises(LedgerDefect):
            commit(ledger, REVOCATIONS[0])
        assert ledger.head() == head
        broken.now = NOW
        assert not commit(ledger, REVOCATIONS[0]).repeated
    assert replay_file(path).ok


def test_a_file_that_was_replaced_by_an_older_one_is_not_written_any_more(path: Path, tmp_path: Path) -> None:
    broken = Clock()

    def clock() -> int:
        if broken.now == 0:
            raise RuntimeError("a defect")
        return broken.now

    with EmbeddedLedger.open(path, clock=clock) as ledger:
        ledger.backup(tmp_path / "backup.db")
        head = commit(ledger, PARTY.registration()).head
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
            (tmp_path / name).unlink()
        (tmp_path / "backup.db").rename(path)
        # After a failure the file is opened anew.
        broken.now = 0
        with pytest.raises(LedgerDefect):
            commit(ledger, REVOCATIONS[0])
        broken.now = NOW
        with pytest.raises(LedgerCorrupt, match="replaced"):
            commit(ledger, REVOCATIONS[0])
        assert ledger.head() == head
