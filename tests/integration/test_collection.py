"""The collector in the ledger service: what it removes from the store, and what it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.protocol.records import Update
from consilo.verification import verify_run
from tests.integration.consortium import Consortium, running_consortium, until_true
from tests.integration.made_runs import AUDITOR, SILOS, VERIFIER, make_run, propose
from tests.integration.trial import started

_GRACE_SECONDS = 3600


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A consortium whose ledger service goes through the store all the time."""
    directory = tmp_path_factory.mktemp("collecting")
    with running_consortium(directory, collect_every_seconds=0.05, orphan_grace_seconds=_GRACE_SECONDS) as running:
        yield running


def age(path: Path, seconds: float) -> None:
    """Make a file look as if it were written so long ago."""
    status = path.stat()
    os.utime(path, (status.st_atime, status.st_mtime - seconds))


async def gone_through_twice(consortium: Consortium) -> None:
    """Wait until the store was gone through from the beginning to the end."""
    before = len(consortium.ledger.events("collected"))
    await until_true(lambda: len(consortium.ledger.events("collected")) >= before + 2, "the store to be gone through")


async def test_an_orphan_past_the_grace_goes_and_all_else_stays(collecting: Consortium, tmp_path: Path) -> None:
    await make_run(collecting, "kept", tmp_path, rounds=2)
    upload = tmp_path / "upload"
    upload.write_bytes(b"weights")
    async with collecting.party(SILOS[0]) as silo:
        orphan, young = await silo.data_put("kept", upload), await silo.data_put("kept", upload)
        records = [
            (await silo.gateway.records(f"run/kept/{kind}/")).records for kind in ("global", "round")
        ]  # fewer than a page
    names = "".join(record.record for page in records for record in page)
    recorded = [path for path in collecting.objects.rglob("kept/**/*") if path.is_file() and path.name in names]
    assert len(recorded) == 3 + 4
    paths = {artifact.key: collecting.object_path(artifact.key) for artifact in (orphan, young)}
    foreign = collecting.objects / "notes"
    foreign.write_text("not an artifact")
    for path in (foreign, *recorded, paths[orphan.key]):
        age(path, _GRACE_SECONDS + 60)

    await until_true(lambda: not paths[orphan.key].exists(), "the orphan to be removed")
    await gone_through_twice(collecting)

    assert all(path.exists() for path in (*recorded, foreign, paths[young.key]))
    (removed,) = (event for event in collecting.ledger.events("object removed") if event["key"] == orphan.key)
    assert (removed["why"], removed["size_bytes"]) == ("orphan", 7)
    async with collecting.party(AUDITOR) as auditor:
        assert (await verify_run(auditor, "kept")).complete


async def test_what_is_past_the_retention_goes_and_verify_says_expired(collecting: Consortium, tmp_path: Path) -> None:
    async with started(collecting, tmp_path, rounds=4, retention_rounds=1, update_readers=[AUDITOR]) as trial:
        updates: list[list[Update]] = []
        with collecting.service("aggregator", "HospitalA/aggregator"):
            for number in range(4):
                await trial.until_open(number)
                updates.append([await trial.train(terms.member) for terms in trial.specification.silos])
                await trial.until_global(number + 1)
        old = [collecting.objects / update.artifact.key for made in updates[:3] for update in made]
        last = [collecting.objects / update.artifact.key for update in updates[3]]
        await until_true(lambda: not any(path.exists() for path in old), "what is expired to be removed")
        assert not (collecting.objects / trial.specification.initial.key).exists()
        await gone_through_twice(collecting)
        assert all(path.exists() for path in last), "the latest global can still be recomputed"

        async with collecting.party(AUDITOR) as auditor:
            report = await verify_run(auditor, trial.run)
        assert [step.outcome for step in report.steps] == ["ok", "ok", "ok", "not-possible", "not-possible"]
        assert report.ok
        assert [step.reason for step in report.steps[3:]] == ["expired", "expired"]
        assert not [problem for step in report.steps for problem in step.problems if problem.endswith("missing")]
        assert [checked.recomputed is not None for checked in report.globals] == [False, False, False, False, True]


async def test_the_initial_model_of_a_run_that_waits_for_approval_stays(collecting: Consortium, tmp_path: Path) -> None:
    await propose(collecting, "waits", tmp_path, rounds=1)
    async with collecting.party(VERIFIER) as verifier:
        initial = (await verifier.metadata_get("waits")).proposal.specification.initial
    age(collecting.object_path(initial.key), _GRACE_SECONDS + 60)
    await gone_through_twice(collecting)
    assert collecting.object_path(initial.key).exists()
