"""`verify_run` on runs of a real ledger and store: what holds, what is wrong, what the member may not read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consilo.api.models import Head
from consilo.protocol.values import organisation_of
from consilo.verification import CannotVerify, Progress, Report, verify_run
from tests.integration.consortium import Consortium
from tests.integration.made_runs import (
    AUDITOR,
    SILOS,
    VERIFIER,
    close,
    make_run,
    propose,
    publish_anything,
    stored_update,
    train,
)


def outcomes(report: Report) -> list[str]:
    return [step.outcome for step in report.steps]


async def verify(consortium: Consortium, member: str, run: str, **options: object) -> Report:
    async with consortium.party(member) as party:
        return await verify_run(party, run, **options)  # type: ignore[arg-type]


async def test_a_run_that_is_what_its_ledger_says(consortium: Consortium, tmp_path: Path) -> None:
    made = await make_run(consortium, "good", tmp_path)
    heard: list[Progress] = []

    report = await verify(consortium, AUDITOR, "good", progress=heard.append)

    assert outcomes(report) == ["ok"] * 5, report.steps
    assert report.ok
    assert report.complete
    assert [step.number for step in report.steps] == [1, 2, 3, 4, 5]
    assert "4 of 4 inputs of 3 global models" in report.steps[3].detail
    assert [checked.round for checked in report.globals] == [0, 1, 2]
    assert [checked.recomputed for checked in report.globals] == [None, *(model.artifact.sha256 for model in made)]
    assert all(checked.stored for checked in report.globals)
    ledger = [progress for progress in heard if progress.step == 1]
    assert ledger[-1].done == ledger[-1].total
    assert [(progress.done, progress.total) for progress in heard if progress.step == 4] == [
        (0, 3),
        (1, 3),
        (2, 3),
        (3, 3),
    ]


async def test_one_flipped_bit_of_a_global_is_found_and_named(consortium: Consortium, tmp_path: Path) -> None:
    made = await make_run(consortium, "flipped", tmp_path, spoiled=2)

    report = await verify(consortium, AUDITOR, "flipped")

    assert outcomes(report) == ["ok", "ok", "ok", "ok", "failed"]
    assert report.failed
    assert not report.ok
    (problem,) = report.steps[4].problems
    assert problem.startswith("global 2 (attempt 1) is not what its inputs make")
    assert made[1].artifact.sha256 in problem
    assert [checked.recomputed == checked.sha256 for checked in report.globals[1:]] == [True, False]
    # What the store has is what the ledger says: the lie is the aggregator's.
    assert all(checked.stored for checked in report.globals)

    only_first = await verify(consortium, AUDITOR, "flipped", rounds=[1])
    assert outcomes(only_first) == ["ok"] * 5
    assert [checked.round for checked in only_first.globals] == [1]


async def test_a_verifier_attests_what_it_recomputed_once(consortium: Consortium, tmp_path: Path) -> None:
    await make_run(consortium, "attested", tmp_path, rounds=3, spoiled=2)

    report = await verify(consortium, VERIFIER, "attested", attest=True)

    # The mismatch annuls global 2 and what descends from it, before the word on global 3 can come.
    assert [checked.attested for checked in report.globals] == [None, "ok", "mismatch", None]
    async with consortium.party(VERIFIER) as verifier:
        status = await verifier.metadata_get("attested")
    assert status.generation == 1
    assert status.latest is not None
    assert status.latest.round == 1

    again = await verify(consortium, VERIFIER, "attested", attest=True)
    assert [checked.attested for checked in again.globals] == [None, None]
    assert again.complete
    assert "2 annulled ones were not looked at" in again.steps[4].detail


async def test_only_a_verifier_of_the_run_attests(consortium: Consortium, tmp_path: Path) -> None:
    await make_run(consortium, "no-verifier", tmp_path, rounds=1)
    with pytest.raises(CannotVerify, match="not-a-verifier"):
        await verify(consortium, AUDITOR, "no-verifier", attest=True)


async def test_a_member_that_may_not_read_updates_gets_the_ledger_and_the_globals_digests(
    consortium: Consortium, tmp_path: Path
) -> None:
    await make_run(consortium, "closed", tmp_path, rounds=1)

    stranger = await verify(consortium, "HospitalC/viewer", "closed")
    assert outcomes(stranger) == ["ok", "ok", "ok", "not-possible", "not-possible"]
    assert stranger.ok
    assert not stranger.complete
    assert [step.reason for step in stranger.steps[3:]] == ["not-allowed", "not-allowed"]
    assert "may not read the updates of HospitalA/silo, HospitalB/silo" in stranger.steps[3].detail
    assert [checked.stored for checked in stranger.globals] == [True, True]

    # A hospital's own members read its own updates.
    half = await verify(consortium, "HospitalA/viewer", "closed")
    assert "1 of 2 inputs" in half.steps[3].detail
    assert "may not read the updates of HospitalB/silo" in half.steps[3].detail


async def test_an_update_that_is_gone_is_missing_at_its_organisation(consortium: Consortium, tmp_path: Path) -> None:
    await make_run(consortium, "gone", tmp_path, rounds=1)
    async with consortium.party(AUDITOR) as auditor:
        (await stored_update(consortium, auditor, "gone", 0, SILOS[1])).unlink()

    report = await verify(consortium, AUDITOR, "gone")

    assert outcomes(report) == ["ok", "ok", "ok", "failed", "not-possible"]
    assert report.steps[3].problems == ("the update of HospitalB/silo in round 0 (attempt 1) is missing at HospitalB",)
    assert report.steps[4].reason == "step-failed"
    assert "1 of 2 inputs" in report.steps[3].detail


async def test_what_is_past_the_retention_may_be_gone(consortium: Consortium, tmp_path: Path) -> None:
    made = await make_run(consortium, "expired", tmp_path, rounds=3, retention_rounds=2)
    async with consortium.party(AUDITOR) as auditor:
        for member in SILOS:
            (await stored_update(consortium, auditor, "expired", 0, member)).unlink()
        consortium.object_path(made[0].artifact.key).unlink()

        report = await verify_run(auditor, "expired")
        assert outcomes(report) == ["ok", "ok", "ok", "not-possible", "not-possible"]
        assert report.ok
        assert [step.reason for step in report.steps[3:]] == ["expired", "expired"]
        assert "expired by the run's retention policy" in report.steps[3].detail

        # A global that must still be there is another matter.
        consortium.object_path(made[2].artifact.key).unlink()
        report = await verify_run(auditor, "expired")
        assert outcomes(report)[4] == "failed"
        assert report.steps[4].problems == ("global 3 (attempt 1) in the store is missing at HospitalA",)


@pytest.mark.parametrize("longer", [False, True])
async def test_other_bytes_in_a_store_are_found(consortium: Consortium, tmp_path: Path, longer: bool) -> None:
    run = f"other-bytes-{longer}".lower()
    made = await make_run(consortium, run, tmp_path, rounds=1)
    async with consortium.party(AUDITOR) as auditor:
        update = await stored_update(consortium, auditor, run, 0, SILOS[0])
    for path in (update, consortium.object_path(made[0].artifact.key)):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(bytes(data) + b"x" * longer)

    report = await verify(consortium, AUDITOR, run)

    assert outcomes(report) == ["ok", "ok", "ok", "failed", "failed"]
    assert "HospitalA/silo" in report.steps[3].problems[0]
    assert f"{organisation_of(SILOS[0])} serves an object" in report.steps[3].problems[0]
    assert any("global 1 (attempt 1) in the store" in problem for problem in report.steps[4].problems)
    assert [checked.stored for checked in report.globals] == [True, False]


async def test_a_global_of_inputs_that_are_not_finite_is_a_mismatch(consortium: Consortium, tmp_path: Path) -> None:
    await propose(consortium, "not-finite", tmp_path, rounds=1)
    await train(consortium, "not-finite", tmp_path, not_finite=SILOS[1])
    await close(consortium, "not-finite")
    await publish_anything(consortium, "not-finite", tmp_path / "not-finite-initial")

    report = await verify(consortium, VERIFIER, "not-finite", attest=True)

    # The updates are what the ledger says; only that nobody could have made a global of them.
    assert outcomes(report) == ["ok", "ok", "ok", "ok", "failed"]
    assert "not finite: HospitalB/silo" in report.steps[4].detail
    assert report.globals[1].attested == "mismatch"


@pytest.fixture
async def head(consortium: Consortium) -> AsyncIterator[Head]:
    async with consortium.party(AUDITOR) as auditor:
        yield (await auditor.gateway.head()).head


async def test_a_head_that_was_seen_must_be_in_the_chain(consortium: Consortium, tmp_path: Path, head: Head) -> None:
    await make_run(consortium, "seen", tmp_path, rounds=1)

    report = await verify(consortium, AUDITOR, "seen", seen=head)
    assert report.complete
    assert f"block {head.height}, seen before, is there" in report.steps[0].detail

    lies = [
        (head.model_copy(update={"hash": "0" * 64}), "the ledger was replaced"),
        (head.model_copy(update={"height": head.height + 10_000}), "it was rolled back"),
        (head.model_copy(update={"ledger": "another"}), "ledger another was seen here before"),
    ]
    for seen, sentence in lies:
        report = await verify(consortium, AUDITOR, "seen", seen=seen)
        assert outcomes(report) == ["failed", *["not-possible"] * 4]
        assert sentence in report.steps[0].detail
        assert report.globals == ()


async def test_a_global_that_is_not_there_cannot_be_verified(consortium: Consortium, tmp_path: Path) -> None:
    await make_run(consortium, "short", tmp_path, rounds=1)
    with pytest.raises(CannotVerify, match="no global 2; the latest is 1"):
        await verify(consortium, AUDITOR, "short", rounds=[2])
