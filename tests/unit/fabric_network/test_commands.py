"""Programs found and run, and the command line without a network."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fabric.binaries import PROGRAMS, find_binaries
from fabric.cli import app
from fabric.commands import run
from fabric.control import DEFAULT_OPTIONS
from fabric.ending import end_network
from fabric.errors import BinariesMissing, CommandFailed, NetworkError
from fabric.layout import Layout
from fabric.locking import locked
from fabric.network import Network
from fabric.together import together

PYTHON = Path(sys.executable)
MESSAGE = r"osnadmin, peer of Hyperledger Fabric not found on {where}: unpack Fabric's release archive"


def programs(directory: Path, names: tuple[str, ...]) -> Path:
    directory.mkdir()
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


@pytest.mark.parametrize("variable", ["PATH", "FABRIC_BIN"])
def test_programs_are_found_on_the_path_or_where_fabric_bin_says(tmp_path: Path, variable: str) -> None:
    directory = programs(tmp_path / "bin", PROGRAMS)
    found = find_binaries({"PATH": "/nowhere", variable: str(directory)})
    assert found.peer == directory / "peer"
    assert found.configtxgen == directory / "configtxgen"


@pytest.mark.parametrize(("variable", "where"), [("PATH", "PATH"), ("FABRIC_BIN", r"FABRIC_BIN \(.*bin\)")])
def test_missing_programs_are_named_with_where_one_gets_them(tmp_path: Path, variable: str, where: str) -> None:
    directory = programs(tmp_path / "bin", PROGRAMS[:-2])
    with pytest.raises(BinariesMissing, match=MESSAGE.format(where=where)):
        find_binaries({"PATH": "/nowhere", variable: str(directory)})


def test_without_programs_up_says_one_sentence_and_makes_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "/nowhere"}
    environment.pop("FABRIC_BIN", None)
    done = subprocess.run(
        [sys.executable, "-m", "fabric", "up", "--directory", str(tmp_path / "network")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: configtxgen, cryptogen, orderer, osnadmin, peer of Hyperledger Fabric")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "network").exists()


async def test_a_command_that_fails_tells_the_end_of_what_it_said() -> None:
    with pytest.raises(CommandFailed, match=r"failed \(exit code 3\)\n(?s:.*)no such channel") as caught:
        await run(PYTHON, "-c", "print('no such channel'); raise SystemExit(3)")
    assert caught.value.output == "no such channel\n"


async def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CommandFailed, match=r"took longer than 0\.1 s"):
        await run(PYTHON, "-c", "import time; time.sleep(600)", timeout_seconds=0.1)


async def test_a_command_gets_no_environment_but_the_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORE_PEER_LOCALMSPID", "Somebody")
    said = await run(PYTHON, "-c", "import os; print(*os.environ)", environment={"GIVEN": "1"})
    assert "GIVEN" in said.split()
    assert "CORE_PEER_LOCALMSPID" not in said.split()


async def test_of_several_things_the_failed_one_is_told_and_the_others_end() -> None:
    ended = False

    async def waits() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def fails() -> None:
        raise NetworkError("this one")

    with pytest.raises(NetworkError, match="this one"):
        await together([waits(), fails()])
    assert ended


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(NetworkError, match="holds other files"), locked(Layout(tmp_path)):
        pass
    assert not asyncio.run(end_network(tmp_path, remove=True))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


async def test_one_command_at_a_time_changes_a_network(tmp_path: Path) -> None:
    directory = tmp_path / "network"
    with locked(Layout(directory)):
        with pytest.raises(NetworkError, match="another command is changing the network"):
            await end_network(directory)
        assert directory.is_dir()
    assert await end_network(directory, remove=True)
    assert not directory.exists()
    assert not await end_network(directory, remove=True)


def test_a_network_that_is_not_there_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="no network in"):
        Network.load(tmp_path, DEFAULT_OPTIONS)


@pytest.mark.parametrize("command", ["status", "start", "kill", "upgrade", "add-organisation"])
def test_commands_on_a_network_that_is_not_there_say_how_to_start_one(tmp_path: Path, command: str) -> None:
    argument = ["HospitalD"] if command in ("start", "kill", "add-organisation") else []
    done = CliRunner().invoke(app, [command, "--directory", str(tmp_path), *argument])
    assert done.exit_code == 1
    assert f"error: no network in {tmp_path}: start one with `python -m fabric up`" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [("--orderers", "0"), ("--organisations", ""), ("--channel", "Big"), ("--batch-timeout-ms", "0")],
    ids=lambda options: options[0],
)
def test_a_network_that_cannot_be_is_wrong_usage(tmp_path: Path, options: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, ["up", "--directory", str(tmp_path / "network"), *options])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "network").exists()


def test_help_names_all_commands() -> None:
    said = CliRunner().invoke(app, ["--help"]).stdout
    for command in ("up", "down", "status", "start", "kill", "upgrade", "add-organisation", "FABRIC_BIN"):
        assert command in said
