"""The remembered head: its file holds the newest one after every step, and the ledger is held to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilo.api.errors import AnswerInvalid, LedgerRolledBack
from consilo.api.heads import HeadMemory
from consilo.api.models import Head


def head(height: int, ledger: str = "demo") -> Head:
    return Head(ledger=ledger, height=height, hash=f"{height:064x}")


@pytest.mark.parametrize("ledger", ["demo", "l" * 600], ids=["short", "longer-than-a-sector"])
def test_each_head_that_was_seen_is_in_the_file_at_once(tmp_path: Path, ledger: str) -> None:
    file = tmp_path / "state" / "head.json"
    memory = HeadMemory(file)
    for height in (3, 4, 10**15):
        memory.observe(head(height, ledger))
        assert HeadMemory(file).seen == head(height, ledger)
    assert [path.name for path in file.parent.iterdir()] == ["head.json"]


def test_a_head_takes_one_sector_and_is_overwritten_in_place(tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    memory = HeadMemory(file)
    memory.observe(head(1))
    inode = file.stat().st_ino
    memory.observe(head(20))
    assert (file.stat().st_ino, file.stat().st_size) == (inode, 512)


def test_a_file_of_another_size_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "head.json"
    HeadMemory(file).observe(head(1))
    file.write_bytes(file.read_bytes().rstrip())  # as an earlier version wrote it
    memory = HeadMemory(file)
    memory.observe(head(2))
    assert file.stat().st_size == 512
    assert HeadMemory(file).seen == head(2)


def test_an_older_head_changes_nothing_and_another_of_the_same_height_is_a_rollback(tmp_path: Path) -> None:
    memory = HeadMemory(tmp_path / "head.json")
    memory.observe(head(5))
    memory.observe(head(4))
    assert HeadMemory(tmp_path / "head.json").seen == head(5)
    with pytest.raises(LedgerRolledBack, match="block 5 was"):
        memory.observe(Head(ledger="demo", height=5, hash="f" * 64))
    with pytest.raises(LedgerRolledBack, match="ledger other, not demo"):
        memory.observe(head(6, "other"))


@pytest.mark.parametrize("content", [b"", b"{", b" " * 512, b'{"head": 1}'], ids=["empty", "torn", "blank", "other"])
def test_a_file_that_holds_no_head_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "head.json"
    file.write_bytes(content)
    with pytest.raises(AnswerInvalid, match="move it away"):
        HeadMemory(file)
