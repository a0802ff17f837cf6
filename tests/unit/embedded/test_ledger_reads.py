"""Snapshots, blocks, events and subscriptions of an embedded ledger."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from consilo.embedded.blocks import CommittedEvent
from consilo.embedded.errors import LedgerClosed, PositionUnknown
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.positions import BEGINNING, Position
from consilo.embedded.receipts import Commit
from consilo.embedded.settings import LedgerSettings
from consilo.protocol import keys
from consilo.protocol.canonical import digest
from tests.unit.embedded.parties import (
    DEADLINE_SECONDS,
    NOW,
    REVOCATIONS,
    commit,
    writer_held,
)


def test_a_snapshot_stays_as_it_was(ledger: EmbeddedLedger) -> None:
    commit(ledger, REVOCATIONS[0])
    with ledger.snapshot() as state:
        before = (state.head(), dict(state.range("revocation/", keys.end_of("revocation/"))))
        commit(ledger, REVOCATIONS[1])

        assert (state.head(), dict(state.range("revocation/", keys.end_of("revocation/")))) == before
        assert state.get(keys.revocation("HospitalA", "2")) is None
        assert state.position_of(REVOCATIONS[1].id) is None
        assert list(before[1]) == ["revocation/HospitalA/1"]
    with ledger.snapshot() as state:
        assert state.get(keys.revocation("HospitalA", "2")) is not None
        assert state.ledger == "test"


def test_a_range_is_streamed_in_the_order_of_the_keys_bytes(ledger: EmbeddedLedger) -> None:
    for transaction in REVOCATIONS[:20]:
        ledger.submit(transaction)
    commit(ledger, REVOCATIONS[20])
    with ledger.snapshot() as state:
        rows = state.range("revocation/HospitalA/2", "revocation/HospitalA/a")
        assert next(rows)[0] == "revocation/HospitalA/2"
        found = [key for key, _ in rows]

    assert found == [f"revocation/HospitalA/{number}" for number in (3, 4, 5, 6, 7, 8, 9)]


def test_a_range_left_half_read_does_not_hold_the_snapshot(ledger: EmbeddedLedger) -> None:
    commit(ledger, REVOCATIONS[0])
    with ledger.snapshot() as state:
        rows = state.range("", "~")
        next(rows)
    commit(ledger, REVOCATIONS[1])

    with pytest.raises(LedgerClosed):
        next(rows)
    with pytest.raises(LedgerClosed):
        state.get("runs/")
    with ledger.snapshot() as again:
        assert again.head() == ledger.head()


def test_an_error_within_a_snapshot_is_the_readers_own(ledger: EmbeddedLedger) -> None:
    with pytest.raises(RuntimeError), ledger.snapshot():
        raise RuntimeError
    with ledger.snapshot() as state:
        assert state.head() == ledger.head()


def test_events_resume_from_any_position(ledger: EmbeddedLedger) -> None:
    commit(ledger, REVOCATIONS[0])
    with writer_held(ledger, REVOCATIONS[1]):
        futures = [ledger.submit(transaction) for transaction in REVOCATIONS[2:7]]
    for future in futures:
        future.result(DEADLINE_SECONDS)
    commit(ledger, REVOCATIONS[7])
    events = ledger.events(BEGINNING, 100)

    assert [str(event.position) for event in events] == ["1.0", "2.0", "3.0", "4.0", "4.1", "4.2", "4.3", "4.4", "5.0"]
    assert [event.event.transaction for event in events[1:]] == [transaction.id for transaction in REVOCATIONS[:8]]
    assert events[0].event.type == "register_organisation"
    assert events[0].time == NOW
    for start, event in enumerate(events):
        for limit in (0, 1, 3, 100):
            assert ledger.events(event.position, limit) == events[start + 1 :][:limit]


def test_a_position_beyond_the_head_shows_that_the_ledger_was_rolled_back(ledger: EmbeddedLedger) -> None:
    assert ledger.events(Position(1, 0), 10) == []
    with pytest.raises(PositionUnknown) as caught:
        ledger.events(Position(2, 0), 10)
    assert caught.value.code == "position-unknown"


def test_blocks_are_read_from_any_height_within_limits(path: Path, ledger: EmbeddedLedger) -> None:
    for transaction in REVOCATIONS[:3]:
        commit(ledger, transaction)

    assert [digest(body) for body in ledger.blocks(0, 10)] == [ledger.hash_at(height) for height in range(5)]
    assert ledger.blocks(3, 1) == ledger.blocks(0, 10)[3:4]
    assert ledger.blocks(5, 10) == ledger.blocks(0, 0) == ledger.blocks(2**70, 1) == []
    assert ledger.hash_at(5) is None
    assert ledger.hash_at(-1) is None
    assert ledger.hash_at(2**70) is None
    ledger.close()
    with EmbeddedLedger.open(path, settings=LedgerSettings(max_read_bytes=1)) as small:
        assert len(small.blocks(0, 10)) == 1


def test_subscribers_hear_of_each_commit_in_order_also_when_another_one_fails(
    ledger: EmbeddedLedger, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Commit] = []
    enough = threading.Event()

    def fail(_: Commit) -> None:
        raise RuntimeError("a subscriber's own trouble")

    def listen(commit: Commit) -> None:
        heard.append(commit)
        if commit.head.height == 4:
            enough.set()

    ledger.subscribe(fail)
    unsubscribe = ledger.subscribe(listen)
    for transaction in REVOCATIONS[:3]:
        commit(ledger, transaction)
    assert enough.wait(DEADLINE_SECONDS)
    unsubscribe()
    commit(ledger, REVOCATIONS[3])

    events: list[CommittedEvent] = [event for each in heard for event in each.events]
    assert events == ledger.events(Position(1, 0), 3)
    assert [each.head.hash for each in heard] == [ledger.hash_at(height) for height in (2, 3, 4)]
    assert "a subscriber failed at block 2" in caplog.text
