"""Making, opening and opening again an embedded ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilo.embedded.errors import LedgerCorrupt, LedgerFileError
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.positions import BEGINNING, Position
from consilo.verification.embedded import replay_file
from tests.unit.embedded.parties import (
    PARTY,
    REVOCATIONS,
    Clock,
    commit,
    genesis_of,
)


def test_a_new_ledger_is_its_genesis(tmp_path: Path) -> None:
    genesis = genesis_of(PARTY)

    head = EmbeddedLedger.create(tmp_path / "ledger.db", genesis)

    assert (head.ledger, head.height, head.hash) == ("test", 0, genesis.digest())
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.db"]
    with EmbeddedLedger.open(tmp_path / "ledger.db") as ledger:
        assert ledger.head() == head
        assert ledger.name == "test"
        assert ledger.genesis == genesis
        assert ledger.blocks(0, 10) == [genesis.encode()]
        assert ledger.events(BEGINNING, 10) == []


def test_a_ledger_is_not_overwritten(path: Path) -> None:
    before = path.read_bytes()

    with pytest.raises(LedgerFileError, match="exists"):
        EmbeddedLedger.create(path, genesis_of(PARTY))

    assert path.read_bytes() == before


def test_a_missing_ledger_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerFileError) as caught:
        EmbeddedLedger.open(tmp_path / "ledger.db")

    assert caught.value.code == "ledger-missing"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"something else", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_ledger_is_told_from_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)

    with pytest.raises((LedgerFileError, LedgerCorrupt)):
        EmbeddedLedger.open(path)

    assert path.read_bytes() == content


def test_a_ledger_is_open_for_writing_once(path: Path) -> None:
    with EmbeddedLedger.open(path):
        with pytest.raises(LedgerFileError) as caught:
            EmbeddedLedger.open(path)
        assert caught.value.code == "ledger-locked"
    EmbeddedLedger.open(path).close()


def test_everything_is_there_after_opening_again(path: Path, clock: Clock) -> None:
    with EmbeddedLedger.open(path, clock=clock) as ledger:
        commit(ledger, PARTY.registration())
        receipt = commit(ledger, REVOCATIONS[0])

    with EmbeddedLedger.open(path, clock=Clock(0)) as ledger:
        assert ledger.head() == receipt.head
        later = commit(ledger, REVOCATIONS[1])
        assert later.position == Position(3, 0)
        assert later.time == receipt.time, "a clock that went back must not take the ledger with it"
    assert replay_file(path).ok
