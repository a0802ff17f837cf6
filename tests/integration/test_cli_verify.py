"""`consilo verify` and `consilo ledger` against a real ledger, and against copies of its file that somebody changed."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from consilo.protocol.canonical import digest
from tests.integration.commands import Commands
from tests.integration.consortium import Consortium, running_consortium
from tests.integration.made_runs import AUDITOR, SILOS, VERIFIER, make_run, stored_update

RUN = "checked"
STEPS = [
    "1. chain of blocks, and head: ok",
    "2. signatures and certificates: ok",
    "3. every transition replayed, its writes compared: ok",
    "4. digests of all inputs of each global model: ok",
    "5. each global model recomputed, and compared with ledger and store: ok",
]


@pytest.fixture(scope="module")
def checked(consortium: Consortium, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run in which all is right."""
    asyncio.run(make_run(consortium, RUN, tmp_path_factory.mktemp("checked"), rounds=2))
    return RUN


@pytest.fixture
def cli(consortium: Consortium, tmp_path: Path) -> Commands:
    return Commands(consortium, tmp_path)


@pytest.fixture
def copy(consortium: Consortium, checked: str, tmp_path: Path) -> Path:
    """A copy of the ledger's file, as of now."""
    path = tmp_path / "copy.sqlite"
    with (
        closing(sqlite3.connect(consortium.directory / "ledger.sqlite")) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return path


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def body_of(path: Path, height: int) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        (body,) = connection.execute("SELECT body FROM blocks WHERE height = ?", (height,)).fetchone()
    return bytes(body)


def test_the_steps_are_numbered_each_with_its_result(cli: Commands, checked: str) -> None:
    lines = cli.good(AUDITOR, "verify", checked).splitlines()
    assert [line for line in lines if line[:1].isdigit()] == STEPS
    assert lines[-1] == f"Run {checked} is what its ledger says."
    assert "no earlier head was remembered" in lines[1]
    # The first command left its head behind; the second demands it.
    assert "seen before, is there" in cli.good(AUDITOR, "verify", checked)


def test_verify_tells_programs_the_same(cli: Commands, checked: str) -> None:
    report = cli.json(AUDITOR, "verify", checked, "--round", "1")
    assert (report["ok"], report["complete"]) == (True, True)
    assert [step["name"] for step in report["steps"]] == ["chain", "signatures", "transitions", "inputs", "globals"]
    assert [step["outcome"] for step in report["steps"]] == ["ok"] * 5
    (only,) = report["globals"]
    assert (only["round"], only["inputs"], only["recomputed"]) == (1, 2, only["sha256"])
    assert "error [global-unknown]" in cli.refused(AUDITOR, "verify", checked, "--round", "9")
    assert "error [run-unknown]" in cli.refused(AUDITOR, "verify", "nowhere")


def test_a_wrong_global_has_exit_code_3_and_is_named(consortium: Consortium, cli: Commands, tmp_path: Path) -> None:
    asyncio.run(make_run(consortium, "wrong", tmp_path, rounds=2, spoiled=1))
    result = cli.run(AUDITOR, "verify", "wrong")
    assert result.exit_code == 3
    assert "5. each global model recomputed, and compared with ledger and store: FAILED" in result.stdout
    assert "global 1 (attempt 1) is not what its inputs make" in result.stdout
    assert result.stdout.endswith("Something is wrong with run wrong; see above.\n")


def test_who_may_not_read_updates_is_told_so(cli: Commands, checked: str) -> None:
    said = cli.good("HospitalC/viewer", "verify", checked)
    assert "4. digests of all inputs of each global model: not possible" in said
    assert "Nothing wrong was found, but 2 of 5 steps were not possible in full." in said
    assert "error [not-a-verifier]" in cli.refused("HospitalC/viewer", "verify", checked, "--attest")


def test_attesting_is_said_and_done_once(cli: Commands, checked: str) -> None:
    assert "Attested: global 1 ok, global 2 ok." in cli.good(VERIFIER, "verify", checked, "--attest")
    assert "Attested" not in cli.good(VERIFIER, "verify", checked, "--attest")
    models = cli.json(AUDITOR, "model", "list", checked)
    assert [len(model["attestations"]) for model in models] == [0, 1, 1]


def test_a_missing_update_is_missing_at_its_owner(consortium: Consortium, cli: Commands, tmp_path: Path) -> None:
    asyncio.run(make_run(consortium, "lost", tmp_path, rounds=1))

    async def lose() -> None:
        async with consortium.party(AUDITOR) as auditor:
            (await stored_update(consortium, auditor, "lost", 0, SILOS[0])).unlink()

    asyncio.run(lose())
    result = cli.run(AUDITOR, "verify", "lost")
    assert result.exit_code == 3
    assert "the update of HospitalA/silo in round 0 (attempt 1) is missing at HospitalA" in result.stdout


def test_a_ledger_that_lost_what_was_seen_is_refused_by_every_command(cli: Commands, checked: str) -> None:
    cli.good(AUDITOR, "run", "list")
    (remembered,) = (cli.directory / "state" / "heads").iterdir()
    seen = json.loads(remembered.read_bytes())
    remembered.write_text(
        json.dumps({"head": {**seen["head"], "hash": "0" * 64}}, sort_keys=True, separators=(",", ":"))
    )
    for command in (["run", "list"], ["verify", checked], ["ledger", "verify"]):
        refusal = cli.refused(AUDITOR, *command, code=3)
        assert "error [ledger-rolled-back]" in refusal
        assert str(remembered) in refusal


def test_a_good_ledger_is_verified_over_the_gateway_and_from_its_file(cli: Commands, copy: Path) -> None:
    over = cli.json(AUDITOR, "ledger", "verify")
    from_file = cli.json(AUDITOR, "ledger", "verify", "--file", copy)
    assert over["ok"]
    assert from_file["ok"]
    assert from_file["findings"] == []
    assert from_file["transactions"] <= over["transactions"]
    assert from_file["head"]["hash"] == digest(body_of(copy, from_file["head"]["height"]))

    head = from_file["head"]["hash"]
    assert "Everything holds" in cli.good(AUDITOR, "ledger", "verify", "--expect-head", head)
    assert "Everything holds" in cli.good(AUDITOR, "ledger", "verify", "--file", copy, "--expect-head", head)


@pytest.mark.parametrize("found_by", ["hash", "chain"])
def test_a_changed_block_is_found_and_named(cli: Commands, copy: Path, found_by: str) -> None:
    height = 5
    changed = body_of(copy, height).replace(b'"time":1', b'"time":2', 1)
    change(copy, "UPDATE blocks SET body = ? WHERE height = ?", changed, height)
    if found_by == "chain":  # whoever changed it also wrote down the hash that it has now
        change(copy, "UPDATE blocks SET hash = ? WHERE height = ?", digest(changed), height)

    result = cli.run(AUDITOR, "ledger", "verify", "--file", copy)
    assert result.exit_code == 3
    assert f"block {height}: " in result.stdout
    assert result.stdout.endswith(f"The first bad block is {height}.\n")
    assert cli.json(AUDITOR, "ledger", "verify", "--file", copy, code=3)["first_bad_block"] == height


def test_a_changed_record_of_the_state_is_found(cli: Commands, copy: Path) -> None:
    change(copy, "UPDATE state SET value = ? WHERE key = ?", b"{}", f"runs/{RUN}")
    result = cli.json(AUDITOR, "ledger", "verify", "--file", copy, code=3)
    assert [finding["step"] for finding in result["findings"]] == ["state"]
    assert f"runs/{RUN}" in result["findings"][0]["message"]


def test_an_expected_head_tells_a_ledger_that_was_cut_off(cli: Commands, copy: Path) -> None:
    result = cli.run(AUDITOR, "ledger", "verify", "--file", copy, "--expect-head", "0" * 64)
    assert result.exit_code == 3
    assert "the ledger was cut off or replaced" in result.stdout
    assert "error [hash-malformed]" in cli.refused(AUDITOR, "ledger", "verify", "--expect-head", "abc", code=2)


def test_a_file_needs_no_gateway_and_no_identity(cli: Commands, copy: Path, tmp_path: Path) -> None:
    result = cli.run(AUDITOR, "ledger", "verify", "--file", copy, CONSILO_GATEWAY="", CONSILO_IDENTITY="")
    assert result.exit_code == 0, result.output
    assert "error [ledger-missing]" in cli.refused(AUDITOR, "ledger", "verify", "--file", tmp_path / "none")
    (tmp_path / "text").write_text("not a ledger, but long enough to be looked at " * 100)
    assert "error [ledger-corrupt]" in cli.refused(AUDITOR, "ledger", "verify", "--file", tmp_path / "text", code=3)


def test_showing_a_ledger(cli: Commands, copy: Path) -> None:
    over = cli.json(AUDITOR, "ledger", "show")
    from_file = cli.json(AUDITOR, "ledger", "show", "--file", copy)
    assert over["organisations"] == from_file["organisations"] == ["HospitalA", "HospitalB", "HospitalC"]
    assert RUN in from_file["runs"]
    assert RUN in cli.good(AUDITOR, "ledger", "show", "--file", copy)

    for source in ([], ["--file", copy]):
        blocks = cli.json(AUDITOR, "ledger", "show", "--blocks", "--limit", "3", *source)
        assert [block["height"] for block in blocks] == [0, 1, 2]
        assert blocks[1]["transactions"][0]["type"] == "register_organisation"
        assert "register_organisation" in cli.good(AUDITOR, "ledger", "show", "--blocks", *source)

        records = cli.json(AUDITOR, "ledger", "show", "--records", f"run/{RUN}/global/", *source)
        assert [record["record"]["round"] for record in records] == [0, 1, 2]
        assert f"run/{RUN}/proposal" in cli.good(AUDITOR, "ledger", "show", "--records", f"run/{RUN}/", *source)

        wanted = blocks[2]["transactions"][0]["id"]
        one = cli.json(AUDITOR, "ledger", "show", "--transaction", wanted, *source)
        assert (one["id"], one["height"]) == (wanted, 2)
        assert "register_organisation" in cli.good(AUDITOR, "ledger", "show", "--transaction", wanted, *source)
        unknown = cli.refused(AUDITOR, "ledger", "show", "--transaction", "0" * 64, *source)
        assert "error [transaction-unknown]" in unknown
    both = cli.refused(AUDITOR, "ledger", "show", "--blocks", "--records", "run/", code=2)
    assert "give one of" in both
    assert "ends in a slash" in cli.refused(AUDITOR, "ledger", "show", "--records", "run", code=2)


def test_a_gateway_that_is_away_has_exit_code_4(cli: Commands, checked: str) -> None:
    # A port that was free a moment ago, with nothing behind it.
    refusal = cli.run(AUDITOR, "verify", checked, "--patience", "0.2", CONSILO_GATEWAY="http://127.0.0.1:9")
    assert refusal.exit_code == 4
    assert refusal.stdout == ""
    assert "error [gateway-unavailable]" in refusal.stderr
    assert "warning: waiting: to reach the gateway" in refusal.stderr


def test_memory_does_not_grow_with_the_model(consortium: Consortium, tmp_path: Path) -> None:
    peaks = []
    for run, rows in (("small", 40), ("large", 1_000_000)):
        asyncio.run(make_run(consortium, run, tmp_path, rounds=1, rows=rows))
        peaks.append(peak_bytes_of_verifying(consortium, run, tmp_path))
    # The large model has 56 MB, and is read three times at once. Buffers of 1 MB make up for the difference.
    assert peaks[1] - peaks[0] < 30 * 2**20


def peak_bytes_of_verifying(consortium: Consortium, run: str, directory: Path) -> int:
    consortium.identity(AUDITOR)
    program = (
        "import sys\n"
        "from consilo.cli.main import app\n"
        f"code = app(['verify', {run!r}, '--json'], standalone_mode=False)\n"
        # Not ru_maxrss, which counts what this process had when it forked.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(code, peak.split()[1], file=sys.stderr)\n"
    )
    environment = {
        **os.environ,
        "CONSILO_GATEWAY": consortium.ledger.url,
        "CONSILO_IDENTITY": str(consortium.identity_directory(AUDITOR)),
        "CONSILO_STATE": str(directory / "state"),
    }
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert json.loads(ended.stdout)["complete"]
    code, kilobytes = ended.stderr.split()
    assert code == "0"
    return int(kilobytes) * 1024


def test_a_store_that_is_away_has_exit_code_4(tmp_path: Path) -> None:
    with running_consortium(tmp_path) as consortium:
        asyncio.run(make_run(consortium, "away", tmp_path, rounds=1))
        consortium.store.kill()
        result = Commands(consortium, tmp_path).run(AUDITOR, "verify", "away", "--patience", "0.2")
        assert result.exit_code == 4
        assert "4. digests of all inputs of each global model: not possible" in result.stdout
        assert "the update of HospitalA/silo in round 0 (attempt 1): the store of HospitalA: " in result.stdout
        assert "global 0 (attempt 0) in the store: the store of HospitalA: " in result.stdout
        assert "?" not in result.stdout  # no signature is shown
        report = json.loads(
            Commands(consortium, tmp_path).run(AUDITOR, "verify", "away", "--patience", "0.2", "--json").stdout
        )
        assert [step["reason"] for step in report["steps"]] == [None, None, None, "unavailable", "unavailable"]
        assert [checked["stored"] for checked in report["globals"]] == [None, None]
