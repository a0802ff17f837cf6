"""The aggregator as a process, on a real ledger and store: rounds, unusable updates, silos that are late."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from consilo.protocol.specification import Artifact
from tests.integration.consortium import Consortium, Service, until_true
from tests.integration.trial import SILOS, Trial, started

BAD = "HospitalB/silo"
GOOD = ("HospitalA/silo", "HospitalC/silo")


@pytest.fixture(scope="module")
def aggregator(consortium: Consortium) -> Iterator[Service]:
    """Works for every run that names it."""
    with consortium.service("aggregator", "HospitalA/aggregator") as service:
        yield service
        assert "signature=" not in service.log(), "a signed URL is a capability"
        assert not service.events("failed")


async def test_a_run_of_several_rounds_makes_the_weighted_mean_of_each(
    consortium: Consortium, aggregator: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, rounds=3) as trial:
        for round_number in range(3):
            await trial.until_open(round_number)
            await trial.train_all()
            model = await trial.until_global(round_number + 1)
            assert [selected.member for selected in model.inputs] == list(SILOS)
            assert model.published_by == "HospitalA/aggregator"
            np.testing.assert_array_equal(await trial.fetch(model), trial.average(SILOS))
        assert (await trial.status()).state == "finished"
    aggregated = aggregator.events("updates aggregated")[-1]
    assert (aggregated["run"], aggregated["round"], aggregated["attempt"]) == (trial.run, 2, 1)
    assert aggregated["bytes_read"] == 3 * trial.specification.tensors.artifact_bytes


async def other_bytes(trial: Trial) -> Artifact:
    artifact = await trial.put(BAD, trial.random())
    path = trial.consortium.object_path(artifact.key)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    return artifact


async def no_object(trial: Trial) -> Artifact:
    artifact = await trial.put(BAD, trial.random())
    trial.consortium.object_path(artifact.key).unlink()
    return artifact


async def _put_bytes(trial: Trial, data: bytes) -> Artifact:
    path = trial.directory / "bad"
    path.write_bytes(data)
    return await (await trial.party(BAD)).data_put(trial.run, path)


async def another_size(trial: Trial) -> Artifact:
    artifact = await _put_bytes(trial, bytes(100))
    return artifact.model_copy(update={"size_bytes": trial.specification.tensors.artifact_bytes})


async def another_header(trial: Trial) -> Artifact:
    return await _put_bytes(trial, bytes(trial.specification.tensors.artifact_bytes))


async def not_a_number(trial: Trial) -> Artifact:
    values = trial.random()
    values[-1] = np.nan
    return await trial.put(BAD, values)


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (other_bytes, "digest-mismatch"),
        (no_object, "unavailable"),
        (another_size, "malformed"),
        (another_header, "malformed"),
        (not_a_number, "not-finite"),
    ],
)
async def test_an_unusable_update_is_excluded_and_its_owner_may_replace_it(
    consortium: Consortium,
    aggregator: Service,
    tmp_path: Path,
    spoiled: Callable[[Trial], Awaitable[Artifact]],
    reason: str,
) -> None:
    async with started(consortium, tmp_path) as trial:
        await trial.until_open(0)
        await trial.train_all(GOOD)
        await trial.train(BAD, artifact=await spoiled(trial))
        status = await trial.until_open(0, attempt=2)
        assert status.attempt is not None
        opening = status.attempt.opening
        assert [(out.member, out.reason) for out in opening.excluded] == [(BAD, reason)]
        assert [carried.member for carried in opening.carried] == list(GOOD)
        await trial.train(BAD)
        model = await trial.until_global(1)
        assert {selected.member: selected.attempt for selected in model.inputs} == {GOOD[0]: 1, BAD: 2, GOOD[1]: 1}
        np.testing.assert_array_equal(await trial.fetch(model), trial.average(SILOS))


async def test_all_unusable_updates_are_named_at_once(
    consortium: Consortium, aggregator: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, minimum=1) as trial:
        await trial.until_open(0)
        await trial.train(BAD, artifact=await not_a_number(trial))
        await trial.train(GOOD[0])
        missing = await trial.put(GOOD[1], trial.random())
        consortium.object_path(missing.key).unlink()
        await trial.train(GOOD[1], artifact=missing)
        status = await trial.until_open(0, attempt=2)
        assert status.attempt is not None
        reasons = {out.member: out.reason for out in status.attempt.opening.excluded}
        assert reasons == {BAD: "not-finite", GOOD[1]: "unavailable"}


async def test_a_round_does_without_a_late_silo_when_the_grace_is_over(
    consortium: Consortium, aggregator: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, threshold=2, grace_ms=300) as trial:
        await trial.until_open(0)
        await trial.train_all(GOOD)
        model = await trial.until_global(1)
        assert [selected.member for selected in model.inputs] == list(GOOD)
        summary = await (await trial.party("HospitalA/operator")).gateway.round(trial.run, 0)
        assert summary.selection is not None
        waited_ms = summary.selection.closed_at - max(update.published_at for update in summary.updates)
        assert 300 <= waited_ms < 30_000  # not the deadline


async def test_a_cohort_that_never_answers_is_asked_again_after_the_deadline(
    consortium: Consortium, aggregator: Service, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path, deadline_ms=1500) as trial:
        await trial.until_open(0)
        await trial.train(BAD)  # one update is fewer than the minimum
        status = await trial.until_open(0, attempt=2)
        assert status.attempt is not None
        assert status.attempt.opening.excluded == ()
        assert [carried.member for carried in status.attempt.opening.carried] == [BAD]
        await trial.train_all(GOOD)
        np.testing.assert_array_equal(await trial.fetch(await trial.until_global(1)), trial.average(SILOS))


async def test_a_round_whose_policy_selects_too_few_is_reopened_after_the_deadline(
    consortium: Consortium, aggregator: Service, tmp_path: Path
) -> None:
    policy = {"policy": "at_least", "metric": "accuracy", "value": "0.9"}
    async with started(consortium, tmp_path, deadline_ms=1500, selection=policy) as trial:
        await trial.until_open(0)
        for silo in SILOS:
            await trial.train(silo, accuracy="0.9" if silo == BAD else "0.5")
        status = await trial.until_open(0, attempt=2)
        assert status.attempt is not None
        assert [carried.member for carried in status.attempt.opening.carried] == [BAD]
        for silo in GOOD:
            await trial.train(silo, accuracy="0.95")
        assert len((await trial.until_global(1)).inputs) == 3


async def test_a_run_with_an_unknown_strategy_is_left_alone_and_disturbs_no_other(
    consortium: Consortium, aggregator: Service, tmp_path: Path
) -> None:
    unknown = {"name": "fedavg", "version": 99, "parameters": {}}
    async with started(consortium, tmp_path, strategy=unknown) as strange, started(consortium, tmp_path) as plain:
        await plain.until_open(0)
        await plain.train_all()
        await plain.until_global(1)
        assert (await strange.status()).latest is None

        def left_alone() -> list[object]:
            return [event["run"] for event in aggregator.events("run left alone")]

        await until_true(lambda: strange.run in left_alone(), "the log to name the run")
        assert left_alone().count(strange.run) == 1


async def test_two_runs_go_on_side_by_side(consortium: Consortium, aggregator: Service, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with started(consortium, tmp_path / "a") as first, started(consortium, tmp_path / "b") as second:
        await first.until_open(0)
        await second.until_open(0)
        await second.train_all()
        await second.until_global(1)
        await first.train_all()
        model = await first.until_global(1)
        np.testing.assert_array_equal(await first.fetch(model), first.average(SILOS))


async def test_memory_does_not_grow_with_the_model(consortium: Consortium, aggregator: Service, tmp_path: Path) -> None:
    elements = 50_000_000 // 4
    async with started(consortium, tmp_path) as small:
        await small.until_open(0)
        await small.train_all()
        await small.until_global(1)
    before = aggregator.peak_bytes()
    async with started(consortium, tmp_path, elements=elements) as trial:
        await trial.until_open(0)
        await trial.train_all()
        model = await trial.until_global(1)
        assert (
            model.artifact.sha256 == hashlib.sha256(consortium.object_path(model.artifact.key).read_bytes()).hexdigest()
        )
    assert aggregator.peak_bytes() - before < 16_000_000
