"""The ledger's file restored from an old backup: every member refuses to go on with it, and says so."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consilo.api.errors import LedgerRolledBack
from consilo.api.party import Party
from consilo.embedded.file import LedgerFile
from services.local.processes import ServiceFailed
from tests.faults.harness import MEMBERS, Trial, running_system, wait_for
from tests.faults.proofs import log_lines

FOLLOWERS = ("aggregator", "verifier", *MEMBERS)


def move_ledger(trial: Trial, target: Path) -> None:
    """Move the ledger's files into a directory."""
    target.mkdir()
    for file in trial.ledger_file.parent.glob(trial.ledger_file.name + "*"):
        shutil.move(file, target)


def copy_ledger(source: Path, target: Path) -> None:
    """Copy a ledger's files from one directory into another."""
    target.mkdir(exist_ok=True)
    for file in source.glob("ledger.sqlite*"):
        shutil.copy2(file, target)


def height(directory: Path) -> int:
    with LedgerFile(directory / "ledger.sqlite") as file:
        return sum(1 for _ in file.blocks()) - 1


@asynccontextmanager
async def rolled_back(trial: Trial, tmp_path: Path, auditor: Party) -> AsyncIterator[None]:
    """In the middle of a run, the ledger as it was two rounds before; at the end the right one is back.

    `auditor` has seen the head of the right one.
    """
    backup, right = tmp_path / "backup", tmp_path / "right"
    await trial.begin("back", rounds=6)
    await trial.until_global("back", 1)
    await trial.service("ledger").kill()
    copy_ledger(trial.directory, backup)
    await trial.restart("ledger")
    await trial.until_global("back", 3)
    await auditor.connect()
    await trial.service("ledger").kill()
    move_ledger(trial, right)
    copy_ledger(backup, trial.directory)
    assert height(backup) < height(right)
    await trial.restart("ledger")
    yield
    await trial.service("ledger").kill()
    move_ledger(trial, tmp_path / "wrong")
    copy_ledger(right, trial.directory)
    await trial.restart("ledger")


async def test_members_end_when_the_ledger_is_an_old_backup_and_go_on_when_the_right_one_is_back(
    tmp_path: Path,
) -> None:
    async with running_system(tmp_path) as trial:
        trial.expected.append("ledger-rolled-back")
        auditor = await trial.party()
        async with rolled_back(trial, tmp_path, auditor):
            await wait_for(
                lambda: all(trial.service(name).exit_code == 1 for name in FOLLOWERS), "all members to end with code 1"
            )
            for name in FOLLOWERS:
                last = [line for line in log_lines(trial.service(name).log) if line["level"] == "critical"][-1]
                assert "ledger-rolled-back" in str(last)
                assert "old copy" in str(last), "it says what has happened"
            before = height(trial.directory)

            with pytest.raises(LedgerRolledBack):  # one that has the head in its memory only
                await auditor.connect()
            for name in ("aggregator", "verifier"):  # started again, they still know
                with pytest.raises(ServiceFailed, match="ledger-rolled-back"):
                    await trial.restart(name)
            for name in MEMBERS:
                await trial.restart(name)
            await wait_for(lambda: all(trial.service(name).exit_code == 1 for name in MEMBERS), "the silos to end")
            assert height(trial.directory) == before, "nobody has written to it"

        for name in FOLLOWERS:
            await trial.restart(name)
        await trial.prove("back")
