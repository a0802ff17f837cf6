"""A disk that is full, or a file that must not grow: requests fail, nothing is half done, and later ones succeed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.embedded.errors import EmbeddedLedgerError, LedgerFileError, LedgerUnavailable
from consilo.embedded.ledger import EmbeddedLedger
from consilo.protocol.refusals import Refusal
from consilo.verification.embedded import replay_file
from tests.unit.embedded.parties import DEADLINE_SECONDS, Clock, Party, commit, fill, genesis_of, writer_held

PARTY = Party.create()
DISK_BYTES = 2 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this process may not mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill_up(place: Path) -> Path:
    """Leave no free byte."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return filler


def test_on_a_full_disk_requests_fail_and_when_there_is_room_the_same_ones_succeed(small_disk: Path) -> None:
    path = small_disk / "ledger.db"
    EmbeddedLedger.create(path, genesis_of(PARTY))
    with EmbeddedLedger.open(path, clock=Clock()) as ledger:
        head = commit(ledger, PARTY.registration()).head
        filler = fill_up(small_disk)
        failed: dict[int, str] = {}
        for number in range(1, 200):
            try:
                head = commit(ledger, PARTY.revocation(number)).head
            except LedgerUnavailable as error:
                failed[number] = error.code
                if len(failed) == 3:
                    break
        assert list(failed.values()) == ["ledger-full"] * 3
        assert ledger.head() == head
        assert ledger.position_of(PARTY.revocation(min(failed)).id) is None

        filler.unlink()
        receipts = [commit(ledger, PARTY.revocation(number)) for number in failed]

        assert [receipt.repeated for receipt in receipts] == [False] * 3
        assert receipts[0].position.height == head.height + 1
    assert replay_file(path, expected_head=receipts[-1].head).findings == []


def test_when_a_batch_fails_nobody_is_told_a_refusal_that_rests_on_it(small_disk: Path) -> None:
    path = small_disk / "ledger.db"
    EmbeddedLedger.create(path, genesis_of(PARTY))
    with EmbeddedLedger.open(path, clock=Clock()) as ledger:
        with writer_held(ledger, PARTY.registration()):
            filler = fill_up(small_disk)
            # Far more than the room that the write-ahead log has left in its last page.
            first = [ledger.submit(PARTY.revocation(number, "x" * 1000)) for number in range(1, 100)]
            second = ledger.submit(PARTY.revocation(1, "another reason"))
        errors = {type(future.exception(DEADLINE_SECONDS)) for future in [*first, second]}
        assert errors == {LedgerUnavailable}

        filler.unlink()
        assert commit(ledger, PARTY.revocation(1, "another reason")).position.height == 2
        with pytest.raises(Refusal, match="before"):
            commit(ledger, PARTY.revocation(1, "x" * 1000))
    assert replay_file(path).ok


def test_a_ledger_is_not_left_half_made_on_a_full_disk(small_disk: Path) -> None:
    filler = fill_up(small_disk)
    with pytest.raises(LedgerUnavailable) as caught:
        EmbeddedLedger.create(small_disk / "ledger.db", genesis_of(PARTY))

    assert caught.value.code == "ledger-full"
    assert list(small_disk.iterdir()) == [filler]


def test_a_ledger_on_a_disk_that_cannot_be_written_is_replayed_but_not_opened(small_disk: Path) -> None:
    path = small_disk / "ledger.db"
    fill(path, PARTY, 3)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    assert replay_file(path).ok
    with pytest.raises(LedgerFileError) as caught:
        EmbeddedLedger.open(path)
    assert caught.value.code == "ledger-unwritable"
    assert [entry.name for entry in small_disk.iterdir()] == ["ledger.db"]


def test_a_file_that_must_not_grow_fails_requests_and_stays_a_ledger(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.integration.test_embedded_ledger_disk", tmp_path / "ledger.db"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert process.stderr == ""
    committed, code, repeated = process.stdout.split()
    assert int(committed) >= 2
    assert code in ("ledger-unavailable", "ledger-full")
    assert repeated == "committed-after"
    result = replay_file(tmp_path / "ledger.db")
    assert result.findings == []
    assert result.transactions == int(committed) + 1


def _write_until_the_limit(path: Path) -> None:
    """In a process of its own: its files may have 200 kB, then any size again."""
    EmbeddedLedger.create(path, genesis_of(PARTY))
    with EmbeddedLedger.open(path, clock=Clock()) as ledger:
        commit(ledger, PARTY.registration())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        committed = 1
        try:
            while True:
                commit(ledger, PARTY.revocation(committed))
                committed += 1
        except EmbeddedLedgerError as error:
            code = error.code
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        receipt = commit(ledger, PARTY.revocation(committed))
        print(committed, code, "repeated" if receipt.repeated else "committed-after")


if __name__ == "__main__":
    import logging

    logging.disable()
    _write_until_the_limit(Path(sys.argv[1]))
