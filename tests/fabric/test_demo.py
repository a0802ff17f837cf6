"""The demonstration on a Fabric network: it holds, everybody keeps to what is its own, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from consilo.api.party import Party
from consilo.fabric.blocks import decode_block, decode_line
from consilo.identity.identity import Identity
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of

pytestmark = [pytest.mark.fabric, pytest.mark.timeout(300)]

ORGANISATIONS: Final = ("HospitalA", "HospitalB", "HospitalC")
ROUNDS: Final = 2
MOST_SECONDS: Final = 240.0


@dataclass
class Running:
    """A demonstration's process, and what it has printed so far."""

    process: subprocess.Popen[str]
    directory: Path
    lines: list[str]

    def until(self, text: str) -> None:
        """Read on until a line contains a text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return
        pytest.fail(f"it ended before it printed {text!r}:\n" + "\n".join(self.lines))

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=MOST_SECONDS)
        self.lines += rest.splitlines()
        return self.process.returncode


@contextmanager
def demonstration(directory: Path, *options: str) -> Iterator[Running]:
    """On Fabric, with a task that needs no torch, unless the options say otherwise."""
    defaults = ["--ledger", "fabric", "--task", "digits_linear", "--directory", str(directory)]
    command = [sys.executable, "-m", "services.local", *defaults, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield Running(process, directory, [])
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=MOST_SECONDS)


def processes_of(directory: Path, *words: str) -> dict[int, str]:
    """Command lines, by process id, of those that were told of the directory, and have these words in them."""
    needle = os.fsencode(directory)
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
                if needle in command or needle in environment:
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return {pid: command for pid, command in found.items() if all(word in command for word in words)}


@dataclass
class Demonstrated:
    """What a whole demonstration left behind."""

    directory: Path
    text: str
    report: dict[str, Any]
    submitters: dict[str, set[str]]
    exit_code: int


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Demonstrated:
    """One demonstration, looked into while it is kept up, ended by Ctrl-C."""
    directory = tmp_path_factory.mktemp("demonstration")
    file = directory / "report.json"
    options = ["--rounds", str(ROUNDS), "--report", str(file), "--keep"]
    with demonstration(directory, *options) as running:
        running.until("Ctrl-C ends them all")
        text = "\n".join(running.lines)
        gateway = re.search(r"^ledger-HospitalA +(\S+)$", text, re.MULTILINE)
        assert gateway is not None, text
        submitters = asyncio.run(submitters_of(directory, gateway[1]))
        code = running.interrupt()
    return Demonstrated(directory, text, json.loads(file.read_text()), submitters, code)


async def submitters_of(directory: Path, gateway: str) -> dict[str, set[str]]:
    """MSP ids of the gateways that submitted transactions, by the organisation of the member that signed them."""
    found: dict[str, set[str]] = {}
    auditor = Identity.load(directory / "identities" / "HospitalA" / "auditor")
    async with Party(auditor, gateway) as party:
        height = (await party.gateway.head()).head.height
        start = 0
        while start <= height:
            lines = await party.gateway.blocks(start, 100)
            for block in map(decode_block, map(decode_line, lines)):
                for transaction in block.transactions:
                    if transaction.arguments[:1] == (b"submit",):
                        member = Transaction.decode(transaction.arguments[1]).payload.member
                        found.setdefault(organisation_of(member), set()).add(transaction.creator_msp)
            start += len(lines)
    return found


def test_everything_holds(demonstrated: Demonstrated) -> None:
    assert demonstrated.exit_code == 0
    assert "Everything holds." in demonstrated.text
    assert demonstrated.report["problems"] == []
    assert [step["outcome"] for step in demonstrated.report["verification"]] == ["ok"] * 5
    assert demonstrated.report["attestations"] == {"ok": ROUNDS}
    assert len(demonstrated.report["rounds"]) == ROUNDS


def test_the_report_says_which_ledger_and_what_its_peers_use(demonstrated: Demonstrated) -> None:
    report = demonstrated.report
    assert report["ledger"] == "fabric"
    assert report["ledger_height"] > ROUNDS
    assert report["settings"]["silos"] == len(ORGANISATIONS)
    nodes = {node["name"]: node for node in report["nodes"]}
    for msp in ORGANISATIONS:
        assert nodes[f"peer of {msp}"]["peak_megabytes"] > 1
        assert nodes[f"peer of {msp}"]["version"]
        assert nodes[f"chaincode of {msp}"]["peak_megabytes"] > 1


def test_what_is_kept_up_is_named_with_its_address(demonstrated: Demonstrated) -> None:
    for msp in ORGANISATIONS:
        for name in (f"peer of {msp}", f"ledger-{msp}", f"store-{msp}"):
            assert re.search(rf"^{name} +\S*127\.0\.0\.1:\d+$", demonstrated.text, re.MULTILINE)


def test_every_member_uses_the_gateway_of_its_own_organisation(demonstrated: Demonstrated) -> None:
    assert demonstrated.submitters == {msp: {msp} for msp in ORGANISATIONS}


def test_every_model_is_in_the_store_of_the_organisation_that_made_it(demonstrated: Demonstrated) -> None:
    for msp in ORGANISATIONS:
        run = demonstrated.directory / "sites" / msp / "objects" / "digits-linear"
        makers = {str(path.parent.relative_to(run)): len(list(path.parent.iterdir())) for path in run.glob("*/*/*")}
        made = {f"{msp.lower()}/silo": ROUNDS}
        if msp == ORGANISATIONS[0]:
            made |= {"hospitala/operator": 1, "hospitala/aggregator": ROUNDS}
        assert makers == made


def test_the_global_model_is_bit_for_bit_that_of_the_embedded_ledger(
    demonstrated: Demonstrated, tmp_path: Path
) -> None:
    options = ["--silos", str(len(ORGANISATIONS)), "--rounds", str(ROUNDS), "--report", str(tmp_path / "report.json")]
    with demonstration(tmp_path / "files", *options, "--ledger", "embedded") as running:
        running.until("Everything holds.")
        assert running.process.wait(MOST_SECONDS) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ledger"] == "embedded"
    assert report["final_digest"] == demonstrated.report["final_digest"]


def test_nothing_runs_when_it_has_ended(demonstrated: Demonstrated) -> None:
    assert processes_of(demonstrated.directory) == {}


@pytest.mark.parametrize("moment", ["starting the Fabric network", "starting gateways and stores", "training"])
def test_ctrl_c_leaves_nothing_behind(moment: str, tmp_path: Path) -> None:
    with demonstration(tmp_path) as running:
        running.until(moment)
        started = time.monotonic()
        assert running.interrupt() == 130
        assert time.monotonic() - started < 60
    assert processes_of(tmp_path) == {}
    assert "Traceback" not in "\n".join(running.lines)


def test_a_service_that_ends_by_itself_ends_the_rest_and_is_named(tmp_path: Path) -> None:
    with demonstration(tmp_path, "--rounds", "100") as running:
        running.until("round ")
        (pid,) = processes_of(tmp_path, "services.ledger", "--fabric.msp HospitalB")
        os.kill(pid, signal.SIGKILL)
        running.until("ledger-HospitalB ended by itself")
        running.process.wait(MOST_SECONDS)
        assert running.process.returncode == 1
    assert processes_of(tmp_path) == {}
