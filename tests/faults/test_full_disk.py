"""A full disk under ledger or store: whoever asks is told, members wait, and all goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consilo.api.errors import GatewayUnavailable
from consilo.api.party import Party
from consilo.api.patience import Patience
from consilo.api.transfer_errors import TransferUnavailable
from consilo.protocol.bodies import RevokeMember
from tests.faults.harness import API, Trial, running_system, wait_for
from tests.faults.proofs import log_lines

DISK_BYTES = 16 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk; this needs root, to mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def full(place: Path) -> Iterator[None]:
    """No free byte."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    yield
    filler.unlink()


def says(trial: Trial, service: str, text: str) -> bool:
    return any(text in str(line) for line in log_lines(trial.service(service).log))


async def until_said(trial: Trial, service: str, text: str) -> None:
    await wait_for(lambda: says(trial, service, text), f"{service} to say: {text}")


async def hurried(trial: Trial) -> Party:
    """The first hospital's operator, who does not wait for anything."""
    party = Party(trial.system.first.operator, trial.system.gateway, settings=API, patience=Patience(API, 0.5))
    return await trial.stack.enter_async_context(party)


async def publish_until_refused(operator: Party) -> None:
    for number in range(1, 1000):
        await operator.metadata_publish(RevokeMember(serial=f"{number:x}", reason="lost"))


async def test_on_a_full_disk_the_ledger_says_so_and_goes_on_when_there_is_room(tmp_path: Path, disk: Path) -> None:
    options = {"ledger": {"embedded.file": str(disk / "ledger.sqlite")}}
    async with running_system(tmp_path, options=options) as trial:
        await trial.begin("full", rounds=4)
        await trial.until_global("full", 1)
        operator = await hurried(trial)
        with full(disk):
            # The write-ahead log may have room in pages of its own for a while.
            await until_said(trial, "ledger", "disk is full")
            with pytest.raises(GatewayUnavailable, match=r"ledger-full.*make room"):
                await publish_until_refused(operator)
            assert (await operator.metadata_get("full")).state == "active", "reading goes on"
            trial.check_processes()

        await trial.prove("full")
        assert any(says(trial, member, "ledger-full") for member in ("aggregator", "silo-HospitalA", "silo-HospitalB"))


async def test_a_ledger_that_is_killed_on_a_full_disk_starts_there_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    options = {"ledger": {"embedded.file": str(disk / "ledger.sqlite")}}
    async with running_system(tmp_path, options=options) as trial:
        await trial.begin("full", rounds=4)
        await trial.until_global("full", 1)
        with full(disk):
            await until_said(trial, "ledger", "disk is full")
            await trial.service("ledger").kill()
            await trial.restart("ledger")
            operator = await hurried(trial)
            assert (await operator.metadata_get("full")).state == "active"

        await trial.prove("full")


async def test_on_a_full_disk_the_store_says_so_and_goes_on_when_there_is_room(tmp_path: Path, disk: Path) -> None:
    options = {"store": {"directory": str(disk), "minimum-free-bytes": "0"}}
    async with running_system(tmp_path, options=options) as trial:
        await trial.begin("full", rounds=4)
        await trial.until_global("full", 1)
        operator = await hurried(trial)
        model = tmp_path / "full.safetensors"
        with full(disk):
            with pytest.raises(TransferUnavailable, match="store-full"):
                await operator.data_put("full", model)
            for member in ("silo-HospitalA", "silo-HospitalB"):
                await until_said(trial, member, "store-full")
            assert any(line.get("status") == 507 for line in log_lines(trial.service("store").log))
            trial.check_processes()

        await trial.prove("full")
        opened = await (await trial.party()).gateway.round("full", 2)
        assert opened.opening.attempt == 1
