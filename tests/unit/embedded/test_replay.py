"""A replay accepts what a ledger wrote, and finds every change of it, naming the first bad block."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consilo.embedded.errors import LedgerCorrupt, LedgerFileError
from consilo.embedded.file import LedgerFile
from consilo.embedded.ledger import EmbeddedLedger
from consilo.protocol.canonical import digest
from consilo.verification.embedded import MAX_FINDINGS, replay, replay_file
from tests.unit.embedded.altering import BLOCKS, PER_BLOCK, alter, first, head_of
from tests.unit.embedded.parties import PARTY, commit, genesis_of


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "ledger.db"))


# What is right


def test_a_ledger_replays(original: Path, bodies: list[bytes]) -> None:
    seen: list[tuple[int, int]] = []

    result = replay_file(
        original,
        expected_genesis=digest(bodies[0]),
        expected_head=head_of(bodies),
        progress=lambda height, transactions: seen.append((height, transactions)),
    )

    assert result.findings == []
    assert result.head == head_of(bodies)
    assert result.transactions == 1 + (BLOCKS - 1) * PER_BLOCK
    assert seen[0] == (0, 0)
    assert seen[-1] == (BLOCKS, result.transactions)
    with LedgerFile(original) as file:
        assert {key: value for key, value, _ in file.state_rows()} == result.state.records


def test_blocks_alone_replay_and_an_older_head_is_part_of_them(bodies: list[bytes]) -> None:
    assert replay(iter(bodies)).ok
    assert replay(bodies, expected_head=head_of(bodies[:4])).ok
    assert replay(bodies[:4]).head == head_of(bodies[:4])


def test_a_file_replays_while_it_is_written_and_from_a_backup(path: Path, tmp_path: Path) -> None:
    with EmbeddedLedger.open(path) as ledger:
        head = ledger.backup(tmp_path / "backup.db")
        later = commit(ledger, PARTY.revocation(99)).head
        assert replay_file(path, expected_head=later).ok
        with pytest.raises(LedgerFileError, match="exists"):
            ledger.backup(tmp_path / "backup.db")

    result = replay_file(tmp_path / "backup.db", expected_head=head)
    assert result.ok
    assert result.head == head
    assert not list(tmp_path.glob("backup.db-*"))
    assert not list(tmp_path.glob(".*"))
    with EmbeddedLedger.open(tmp_path / "backup.db") as restored:
        assert commit(restored, PARTY.revocation(98)).position.height == head.height + 1


# Any byte


def changed_bytes(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    generator = random.Random(seed)
    for _ in range(count):
        place = generator.randrange(len(data))
        yield data[:place] + bytes([data[place] ^ (1 << generator.randrange(8))]) + data[place + 1 :]


@pytest.mark.parametrize("height", [0, 1, 4, BLOCKS])
def test_any_changed_byte_of_a_block_in_the_file_is_found_there(original: Path, path: Path, height: int) -> None:
    with LedgerFile(original) as file:
        body = list(file.blocks())[height]
    for changed in changed_bytes(body, height, 25):
        alter(path, "UPDATE blocks SET body = ? WHERE height = ?", changed, height)
        assert first(replay_file(path)) == ("read", height)


@pytest.mark.parametrize("height", [0, 1, 4, BLOCKS])
def test_any_changed_byte_is_found_even_when_the_files_hash_of_the_block_fits(
    bodies: list[bytes], path: Path, height: int
) -> None:
    for changed in changed_bytes(bodies[height], 100 + height, 40):
        alter(path, "UPDATE blocks SET body = ?, hash = ? WHERE height = ?", changed, digest(changed), height)
        step, block = first(replay_file(path, expected_genesis=digest(bodies[0]), expected_head=head_of(bodies)))
        # Some bytes bind nothing but the hash (the last digit of a signature has four spare bits): only the next block
        # or, behind the last one, the head that was seen can tell. Then the block after the change is named.
        assert (block, step) == (height, step) or (block, step) == (height + 1, "chain")


@pytest.mark.parametrize("column", ["key", "value"])
def test_any_changed_byte_of_the_state_is_found_with_the_block_that_wrote_it(
    original: Path, path: Path, column: str
) -> None:
    with closing(sqlite3.connect(original)) as connection:
        rows = connection.execute("SELECT rowid, CAST(key AS BLOB), value, height FROM state").fetchall()
    generator = random.Random(column)
    for rowid, key, value, height in generator.sample(rows, 12):
        shutil.copy(original, path)
        data = key if column == "key" else value
        (changed,) = changed_bytes(data, rowid, 1)
        cast = "CAST(? AS TEXT)" if column == "key" else "?"
        alter(path, f"UPDATE state SET {column} = {cast} WHERE rowid = ?", changed, rowid)
        result = replay_file(path)
        assert {finding.step for finding in result.findings} == {"state"}
        assert height in {finding.block for finding in result.findings}


# Whatever else can be done to a file


@pytest.mark.parametrize(
    ("statement", "step", "block"),
    [
        ("DELETE FROM state WHERE rowid = 9", "state", 3),
        ("INSERT INTO state VALUES ('runs/mine', x'7b7d', 3)", "state", None),
        ("UPDATE state SET height = 7 WHERE rowid = 9", "state", 3),
        ("DELETE FROM entries WHERE height = 4 AND position = 1", "index", 4),
        ("INSERT INTO entries VALUES ('x', 4, 1)", "index", None),
        ("UPDATE entries SET position = 2 - position WHERE height = 4", "index", 4),
        ("UPDATE blocks SET hash = lower(hex(zeroblob(32))) WHERE height = 5", "read", 5),
        ("DELETE FROM blocks WHERE height = 5", "read", 5),
        ("DELETE FROM blocks WHERE height = 0", "read", 0),
        ("DELETE FROM blocks", "read", 0),
        ("UPDATE blocks SET height = -height", "read", 0),
        ("UPDATE blocks SET body = (SELECT body FROM blocks b WHERE b.height = 4) WHERE height = 5", "read", 5),
    ],
)
def test_rows_added_removed_or_changed_are_found(path: Path, statement: str, step: str, block: int | None) -> None:
    alter(path, statement)

    assert first(replay_file(path)) == (step, block)


def test_swapped_blocks_are_found(bodies: list[bytes]) -> None:
    swapped = [*bodies[:3], bodies[4], bodies[3], *bodies[5:]]

    assert first(replay(swapped)) == ("chain", 3)


@pytest.mark.parametrize("known", [True, False])
def test_a_chain_that_was_cut_off_shows_when_its_head_was_seen(path: Path, bodies: list[bytes], known: bool) -> None:
    # Cut off with all that the last three blocks wrote, as an older backup would be.
    for table in ("blocks", "state", "entries"):
        alter(path, f"DELETE FROM {table} WHERE height > {BLOCKS - 3}")

    result = replay_file(path, expected_head=head_of(bodies) if known else None)

    assert result.head == head_of(bodies[:-3])
    if known:
        assert first(result) == ("head", BLOCKS - 2)
        assert "rolled back" in result.findings[0].message
    else:
        assert result.ok


def test_a_restored_backup_that_went_another_way_shows_when_the_head_was_seen(path: Path, tmp_path: Path) -> None:
    with EmbeddedLedger.open(path) as ledger:
        ledger.backup(tmp_path / "backup.db")
        seen = commit(ledger, PARTY.revocation(77)).head
    with EmbeddedLedger.open(tmp_path / "backup.db") as restored:
        assert restored.hash_at(seen.height) is None
        commit(restored, PARTY.revocation(78))
        assert restored.hash_at(seen.height) != seen.hash

    assert first(replay_file(tmp_path / "backup.db", expected_head=seen)) == ("head", seen.height)
    assert replay_file(tmp_path / "backup.db").ok


def test_another_genesis_is_told_from_the_one_expected(bodies: list[bytes]) -> None:
    assert first(replay(bodies, expected_genesis="0" * 64)) == ("chain", 0)
    assert first(replay([])) == ("read", 0)


# Limits, and files that are no ledgers


def test_a_block_larger_than_the_limit_is_not_read(bodies: list[bytes]) -> None:
    largest = max(bodies, key=len)

    assert replay(bodies, max_block_bytes=len(largest)).ok
    assert first(replay(bodies, max_block_bytes=len(largest) - 1)) == ("form", bodies.index(largest))


def test_many_differences_are_listed_up_to_a_limit() -> None:
    rows = ((f"x/{number}", b"{}", 1) for number in range(500))

    result = replay([genesis_of(PARTY).encode()], state_rows=rows)

    assert len(result.findings) == MAX_FINDINGS + 1


def test_errors_of_the_source_that_are_no_findings_go_through(bodies: list[bytes]) -> None:
    def source() -> Iterator[bytes]:
        yield bodies[0]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        replay(source())


def test_a_view_in_place_of_a_table_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE blocks RENAME TO hidden")
        connection.execute("CREATE VIEW blocks AS SELECT * FROM hidden")

    with pytest.raises(LedgerCorrupt, match="tables"):
        replay_file(path)
    with pytest.raises(LedgerCorrupt, match="tables"):
        EmbeddedLedger.open(path)


def test_a_page_overwritten_with_garbage_is_found(path: Path) -> None:
    data = bytearray(path.read_bytes())
    assert len(data) >= 8 * 4096
    data[4 * 4096 : 5 * 4096] = random.Random(1).randbytes(4096)
    path.write_bytes(data)

    assert not replay_file(path).ok


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE blocks SET body = x'00' WHERE height = {BLOCKS}",
        f"DELETE FROM state WHERE height = {BLOCKS}",
        f"DELETE FROM entries WHERE height = {BLOCKS}",
        f"DELETE FROM blocks WHERE height = {BLOCKS}",
        "INSERT INTO state VALUES ('runs/mine', x'7b7d', 99)",
        "UPDATE blocks SET body = x'00' WHERE height = 0",
        f"UPDATE blocks SET hash = lower(hex(zeroblob(32))) WHERE height = {BLOCKS - 1}",
        "DELETE FROM blocks",
    ],
)
def test_a_ledger_whose_end_contradicts_itself_is_not_opened(path: Path, statement: str) -> None:
    alter(path, statement)

    with pytest.raises(LedgerCorrupt):
        EmbeddedLedger.open(path)
