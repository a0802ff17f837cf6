"""Backup and restore of the embedded system, as docs/operations.md says it is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consilo.cli.main import app
from consilo.verification import verify_run
from tests.integration.commands import Commands
from tests.integration.consortium import Consortium, running_consortium
from tests.integration.made_runs import AUDITOR, make_run

READER = "HospitalC/viewer"


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A consortium whose ledger may be put back: no other test uses it."""
    with running_consortium(tmp_path_factory.mktemp("restored")) as running:
        yield running


def consilo(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def put_back(consortium: Consortium, backup: Path) -> None:
    """Stop the ledger service, put the backup in the place of its file, start it again."""
    consortium.ledger.end()
    for file in consortium.directory.glob("ledger.sqlite*"):
        file.unlink()
    shutil.copy2(backup, consortium.directory / "ledger.sqlite")
    consortium.restart_ledger()


async def test_a_backup_of_a_live_ledger_and_of_its_store_is_put_back(own: Consortium, tmp_path: Path) -> None:
    await make_run(own, "before", tmp_path)
    backup, objects = tmp_path / "backup.sqlite", tmp_path / "objects"
    told = consilo("ledger", "backup", "--file", own.directory / "ledger.sqlite", "--output", backup, "--json")
    assert told.exit_code == 0, told.output
    head = json.loads(told.stdout)
    assert head["ledger"] == "test-ledger"
    shutil.copytree(own.objects, objects, ignore=shutil.ignore_patterns(".*"))
    good = consilo("ledger", "verify", "--file", backup, "--expect-head", head["hash"])
    assert good.exit_code == 0, good.output

    # The disk is lost: the objects too.
    shutil.rmtree(own.objects / "before")
    shutil.copytree(objects, own.objects, dirs_exist_ok=True)
    put_back(own, backup)

    async with own.party(AUDITOR) as auditor:
        assert (await auditor.gateway.head()).head.hash == head["hash"]
        assert (await verify_run(auditor, "before")).complete
    await make_run(own, "after", tmp_path, rounds=1)


def test_a_member_that_saw_more_refuses_the_backup_until_it_is_told_to_forget(own: Consortium, tmp_path: Path) -> None:
    cli, backup = Commands(own, tmp_path), tmp_path / "backup.sqlite"
    ledger = own.directory / "ledger.sqlite"
    consilo("ledger", "backup", "--file", ledger, "--output", backup)
    cli.good("HospitalA/operator", "organisation", "revoke", "3fa0c1", "--reason", "lost", "--yes")
    cli.good(READER, "run", "list")

    put_back(own, backup)

    said = cli.refused(READER, "run", "list", code=3)
    assert "error [ledger-rolled-back]" in said
    memory = next((tmp_path / "state" / "heads").glob("*.json"))
    assert str(memory) in said, "it says what to move away"
    assert "error [ledger-rolled-back]" in cli.refused(READER, "run", "list", code=3), "asking again changes nothing"
    memory.rename(memory.with_suffix(".old"))
    cli.good(READER, "run", "list")


def test_a_backup_overwrites_nothing(own: Consortium, tmp_path: Path) -> None:
    output = tmp_path / "backup.sqlite"
    output.write_text("precious")
    result = consilo("ledger", "backup", "--file", own.directory / "ledger.sqlite", "--output", output)
    assert result.exit_code == 1
    assert "error [ledger-exists]" in result.stderr
    assert output.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["backup.sqlite"], "nothing unfinished is left beside it"
    missing = consilo("ledger", "backup", "--file", tmp_path / "none.sqlite", "--output", tmp_path / "b")
    assert "error [ledger-missing]" in missing.stderr
