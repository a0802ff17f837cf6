"""Following runs on a real ledger: when steps are called, what failures do, how work notices that it is overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consilo.api.errors import LedgerRolledBack
from consilo.api.follow import COUNTED, Look, Overtaken, Step, follow_runs, moves_round
from consilo.api.heads import HeadMemory
from consilo.api.models import Head
from consilo.api.party import Party
from consilo.protocol.apply import Event
from consilo.protocol.bodies import CloseRound, PublishGlobal, StopRun
from consilo.protocol.views import RunStatus
from tests.integration.consortium import DEADLINE_SECONDS, Consortium
from tests.integration.trial import Trial, started

FOLLOWER = "HospitalB/viewer"


@asynccontextmanager
async def following(
    trial: Trial, step: Step, concerned: Callable[[RunStatus], bool] | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Follow the trial's run with a step."""
    party = await trial.party(FOLLOWER)
    only_this = concerned or (lambda status: status.run == trial.run)
    task = asyncio.create_task(follow_runs(party, concerned=only_this, step=step))
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def close(trial: Trial) -> None:
    """Close the current attempt."""
    attempt = (await trial.status()).attempt
    assert attempt is not None
    party = await trial.party("HospitalA/aggregator")
    opening = attempt.opening
    await party.metadata_publish(
        CloseRound(run=trial.run, round=opening.round, attempt=opening.attempt, updates=attempt.updates_digest)
    )


async def publish_initial(trial: Trial) -> None:
    """Something happens in the run."""
    specification = trial.specification
    party: Party = await trial.party("HospitalA/aggregator")
    await party.metadata_publish(
        PublishGlobal(
            run=trial.run,
            round=0,
            attempt=0,
            artifact=specification.initial,
            inputs=(),
            strategy=specification.strategy,
        )
    )


async def test_a_step_is_called_at_first_and_whenever_something_happens(consortium: Consortium, tmp_path: Path) -> None:
    rounds: asyncio.Queue[int | None] = asyncio.Queue()

    async def step(look: Look) -> None:
        await rounds.put(None if look.status.latest is None else look.status.latest.round)

    async with started(consortium, tmp_path) as trial, following(trial, step):
        assert await rounds.get() is None
        await publish_initial(trial)
        assert await rounds.get() == 0


async def test_a_step_is_called_again_after_the_time_that_it_wants(consortium: Consortium, tmp_path: Path) -> None:
    times: list[float] = []
    enough = asyncio.Event()

    async def step(look: Look) -> float | None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 3:
            enough.set()
            return None
        return 0.05

    async with started(consortium, tmp_path) as trial, following(trial, step):
        await enough.wait()
    assert times[1] - times[0] >= 0.05
    assert times[2] - times[1] >= 0.05


async def test_a_step_that_fails_is_tried_again_and_disturbs_no_other_run(
    consortium: Consortium, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    calls: dict[str, int] = {}
    done = {name: asyncio.Event() for name in ("failing", "other")}

    async with started(consortium, tmp_path / "a") as failing, started(consortium, tmp_path / "b") as other:

        async def step(look: Look) -> None:
            calls[look.run] = calls.get(look.run, 0) + 1
            if look.run == failing.run and calls[look.run] < 4:
                raise RuntimeError("a defect")
            done["failing" if look.run == failing.run else "other"].set()

        async with following(failing, step, lambda status: status.run in {failing.run, other.run}):
            await done["other"].wait()
            await done["failing"].wait()
    assert calls == {failing.run: 4, other.run: 1}


async def test_a_round_that_is_closed_is_looked_at_by_those_at_work_only(
    consortium: Consortium, tmp_path: Path
) -> None:
    seen: asyncio.Queue[RunStatus] = asyncio.Queue()

    async def step(look: Look) -> None:
        await seen.put(look.status)

    async with started(consortium, tmp_path, rounds=2) as trial, following(trial, step):
        assert (await seen.get()).latest is None
        await publish_initial(trial)
        assert (await seen.get()).attempt is not None
        await trial.train_all()
        await close(trial)
        operator = await trial.party("HospitalA/operator")
        await operator.metadata_publish(StopRun(run=trial.run, reason="enough"))
        status = await seen.get()
        assert status.state == "stopped"
        assert status.attempt is not None
        assert status.attempt.selection is not None  # it was closed, and nobody looked


def event(kind: str, *effects: str) -> Event:
    return Event(transaction="0" * 64, type=kind, member="HospitalA/silo", run="a", round=1, attempt=1, effects=effects)


def test_what_a_run_has_many_of_moves_it_by_its_effects_only() -> None:
    for kind in sorted(COUNTED):
        assert not moves_round(event(kind), at_work=True)
        assert moves_round(event(kind, "round-opened"), at_work=False)
    assert moves_round(event("approve_run"), at_work=False)
    assert moves_round(event("close_round", "round-closed"), at_work=True)
    assert not moves_round(event("close_round", "round-closed"), at_work=False)


async def test_a_run_that_is_none_of_its_business_is_asked_about_once(consortium: Consortium, tmp_path: Path) -> None:
    asked: list[str] = []
    seen: asyncio.Queue[RunStatus] = asyncio.Queue()

    async with (
        started(consortium, tmp_path, rounds=2) as mine,
        started(consortium, tmp_path) as strange,
    ):

        def concerned(status: RunStatus) -> bool:
            asked.append(status.run)
            return status.run == mine.run

        async def step(look: Look) -> None:
            await seen.put(look.status)

        async with following(mine, step, concerned):
            await seen.get()
            await publish_initial(strange)
            await publish_initial(mine)
            assert (await seen.get()).latest is not None
    assert asked.count(strange.run) == 1


async def test_work_that_is_overtaken_is_cancelled_and_the_run_looked_at_again(
    consortium: Consortium, tmp_path: Path
) -> None:
    working, after = asyncio.Event(), asyncio.Event()
    ends: list[str] = []

    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def step(look: Look) -> None:
        if look.status.latest is None:
            try:
                await look.keep(work(), lambda status: status.latest is None)
            except Overtaken:
                ends.append("overtaken")
                raise
        after.set()

    async with started(consortium, tmp_path) as trial, following(trial, step):
        await working.wait()
        await publish_initial(trial)
        await after.wait()
    assert ends == ["cancelled", "overtaken"]


async def test_what_happens_during_work_that_goes_on_is_not_missed(consortium: Consortium, tmp_path: Path) -> None:
    working, let_go = asyncio.Event(), asyncio.Event()
    seen: asyncio.Queue[RunStatus] = asyncio.Queue()

    async def work() -> str:
        working.set()
        await let_go.wait()
        return "done"

    async def step(look: Look) -> None:
        await seen.put(look.status)
        if look.status.latest is None:

            def current(status: RunStatus) -> bool:
                if status.latest is not None:  # it was noticed, and the work goes on
                    let_go.set()
                return True

            assert await look.keep(work(), current) == "done"

    async with started(consortium, tmp_path) as trial, following(trial, step):
        await working.wait()
        await publish_initial(trial)
        assert (await seen.get()).latest is None
        assert (await seen.get()).latest is not None


async def test_a_ledger_that_lost_blocks_ends_it(consortium: Consortium, tmp_path: Path) -> None:
    async def step(look: Look) -> None:
        raise LedgerRolledBack("block 7 is gone")

    async with started(consortium, tmp_path) as trial, following(trial, step) as task:
        with pytest.raises(LedgerRolledBack, match="block 7 is gone"):
            await task


def test_a_head_that_another_task_has_seen_meanwhile_is_no_sign_of_a_rollback() -> None:
    memory = HeadMemory()
    older, newer = (Head(ledger="test", height=height, hash=f"{height:064}") for height in (3, 4))
    memory.observe(older)
    seen = memory.seen
    memory.observe(newer)  # while the ledger was asked for its head and for the hash of the block that was seen
    memory.require(older, seen, older.hash)
    assert memory.seen == newer
    with pytest.raises(LedgerRolledBack):
        memory.require(newer, newer, older.hash)
