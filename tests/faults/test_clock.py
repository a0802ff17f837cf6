"""A ledger whose clock jumps: a day forwards, an hour backwards. Members are told, records keep their order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consilo.api.errors import GatewayUnavailable
from consilo.api.gateway import now_ms
from consilo.api.party import Party
from consilo.api.patience import Patience
from consilo.embedded.blocks import decode_block
from consilo.embedded.file import LedgerFile
from consilo.protocol.bodies import RevokeMember
from tests.faults.harness import API, Trial, running_system
from tests.faults.proofs import log_lines

HOUR_SECONDS = 3600
DAY_SECONDS = 86_400


@asynccontextmanager
async def with_a_clock(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Trial, Path]]:
    """A system, and the file that says by how many seconds its ledger's clock is wrong."""
    offset = directory / "offset"
    offset.write_text("0")
    monkeypatch.setenv("CLOCK_OFFSET_FILE", str(offset))
    modules = {"services.ledger": "tests.faults.jumping_ledger"}
    async with running_system(directory, modules=modules) as trial:
        yield trial, offset


def set_clock(offset: Path, seconds: int) -> None:
    new = offset.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(offset)


def times_of(trial: Trial) -> list[int]:
    """Times of all transactions, milliseconds since the epoch."""
    with LedgerFile(trial.ledger_file) as file:
        bodies = list(file.blocks())[1:]
    return [entry.time for body in bodies for entry in decode_block(body).entries]


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(DAY_SECONDS, "no longer valid"), (-HOUR_SECONDS, "not valid yet; check the clocks")],
    ids=["a-day-forwards", "an-hour-backwards"],
)
async def test_when_the_ledgers_clock_jumps_members_say_so_and_go_on_when_it_is_right_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, says: str
) -> None:
    async with with_a_clock(tmp_path, monkeypatch) as (trial, offset):
        await trial.begin("clock", rounds=4, milliseconds=300)
        await trial.until_global("clock", 1)
        party = Party(trial.auditor, trial.system.gateway, settings=API, patience=Patience(API, 0.5))
        await trial.stack.enter_async_context(party)

        set_clock(offset, seconds)
        with pytest.raises(GatewayUnavailable, match=says) as caught:
            await party.metadata_get("clock")
        assert caught.value.code == "token-expired"
        trial.check_processes()
        set_clock(offset, 0)

        await trial.prove("clock")
        assert times_of(trial) == sorted(times_of(trial))
        trial.check_processes()


async def test_records_made_while_the_clock_was_a_day_ahead_do_not_hold_up_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger's time never goes back: for a day, every record has the time of the last that was made ahead."""
    async with with_a_clock(tmp_path, monkeypatch) as (trial, offset):
        set_clock(offset, 9)  # tokens bear that much
        await trial.begin("ahead", rounds=2, milliseconds=100)
        await trial.until_finished("ahead")
        set_clock(offset, 0)
        assert times_of(trial)[-1] > now_ms()

        # A transaction needs no token: one sets the ledger's time a day ahead.
        set_clock(offset, DAY_SECONDS)
        async with Party(trial.system.first.operator, trial.system.gateway, settings=API, registered=False) as operator:
            await operator.metadata_publish(RevokeMember(serial="1234", reason="lost"))
        set_clock(offset, 0)
        assert times_of(trial)[-1] > now_ms() + HOUR_SECONDS * 1000

        await trial.begin("after", rounds=3, milliseconds=100)
        await trial.prove("ahead")
        await trial.prove("after")
        assert times_of(trial) == sorted(times_of(trial))


async def test_a_ledger_that_starts_with_a_clock_behind_its_last_record_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_a_clock(tmp_path, monkeypatch) as (trial, offset):
        await trial.begin("behind", rounds=4, milliseconds=300)
        await trial.until_global("behind", 1)
        await trial.service("ledger").kill()
        set_clock(offset, -9)
        await trial.restart("ledger")

        await trial.prove("behind")
        assert times_of(trial) == sorted(times_of(trial))
        lines = log_lines(trial.service("ledger").log)
        assert not [line for line in lines if line["level"] == "error"]
