"""Any process is killed with -9, or stopped for 5 s, at random moments: no round is lost, nothing is recorded twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness import running_system
from tests.faults.schedule import VICTIMS, Injector, new_seed, run_with_faults, schedule


async def kill(directory: Path, *, count: int, rounds: int) -> None:
    faults = schedule(new_seed(), victims=VICTIMS, after_seconds=0.8, for_seconds=(0.0, 0.8))
    async with running_system(directory) as trial:
        injector = Injector(trial, faults)
        await run_with_faults(trial, injector, injector.kill, count=count, rounds=rounds)


async def freeze(directory: Path, *, count: int, rounds: int) -> None:
    faults = schedule(new_seed(), victims=VICTIMS, after_seconds=1.0, for_seconds=(5.0, 5.0))
    async with running_system(directory) as trial:
        injector = Injector(trial, faults)
        await run_with_faults(trial, injector, injector.freeze, count=count, rounds=rounds)


async def test_runs_end_whole_when_any_process_is_killed_at_any_moment(tmp_path: Path) -> None:
    await kill(tmp_path, count=10, rounds=6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_runs_end_whole_when_two_hundred_processes_are_killed(tmp_path: Path) -> None:
    await kill(tmp_path, count=200, rounds=20)


async def test_runs_end_whole_when_any_process_stands_still_for_five_seconds(tmp_path: Path) -> None:
    await freeze(tmp_path, count=5, rounds=6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_runs_end_whole_when_processes_stand_still_sixty_times(tmp_path: Path) -> None:
    await freeze(tmp_path, count=60, rounds=20)
