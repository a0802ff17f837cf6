"""Signed URLs: who gets one, for what, and what the ledger must have recorded before."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilo.api.models import DownloadGrant, UploadGrant
from consilo.api.transfers import download_file, upload_file
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import PublishGlobal
from tests.integration.consortium import Consortium
from tests.integration.rest import OBJECT_BYTES, call, signed
from tests.integration.trial import Trial, started

SILO = "HospitalB/silo"
UPLOAD: dict[str, Any] = {"run": "trial", "size_bytes": 7}
NOTHING = {"kind": "global", "round": 1, "attempt": 1, "sha256": "0" * 64}


async def with_round(trial: Trial) -> None:
    """The run's round 0, open."""
    aggregator = await trial.party("HospitalA/aggregator")
    specification = trial.specification
    await aggregator.metadata_publish(
        PublishGlobal(
            run=trial.run,
            round=0,
            attempt=0,
            artifact=specification.initial,
            inputs=(),
            strategy=specification.strategy,
        )
    )


@pytest.mark.parametrize("member", [SILO, "HospitalA/operator", "HospitalC/aggregator"])
def test_who_publishes_gets_a_place_in_the_store_of_its_organisation(
    consortium: Consortium, member: str, tmp_path: Path
) -> None:
    grant = UploadGrant.decode(call(consortium, "POST", "/v1/uploads", UPLOAD, member=member).body)
    assert grant.organisation == member.partition("/")[0]
    assert grant.key.startswith(f"trial/{member.lower()}/")
    (tmp_path / "weights").write_bytes(b"weights")
    host = consortium.store.url.removeprefix("http://")
    request = grant.request.request()
    digest = upload_file(request, tmp_path / "weights", allowed_hosts={host}, timeout_seconds=10)
    assert digest == hashlib.sha256(b"weights").hexdigest()


def test_no_two_uploads_get_the_same_place(consortium: Consortium) -> None:
    grants = [UploadGrant.decode(call(consortium, "POST", "/v1/uploads", UPLOAD, member=SILO).body) for _ in range(2)]
    assert grants[0].key != grants[1].key


@pytest.mark.parametrize("member", ["HospitalB/auditor", "HospitalB/verifier", "HospitalA/gateway-2"])
def test_a_role_that_publishes_nothing_gets_no_place(consortium: Consortium, member: str) -> None:
    answer = call(consortium, "POST", "/v1/uploads", UPLOAD, member=member)
    assert answer.refusal == (403, "role-not-allowed", False)


def test_more_than_the_store_takes_is_refused(impatient: Consortium) -> None:
    largest = {"run": "trial", "size_bytes": OBJECT_BYTES}
    assert call(impatient, "POST", "/v1/uploads", largest, member=SILO).status == 200
    larger = {"run": "trial", "size_bytes": OBJECT_BYTES + 1}
    assert call(impatient, "POST", "/v1/uploads", larger, member=SILO).refusal == (413, "too-large", False)


async def test_a_reader_needs_a_record_and_then_gets_the_artifact(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        model = await trial.until_global(0)
        body = {"run": trial.run, "artifact": reference_of(model).model_dump(mode="json")}
        reader = "HospitalC/viewer"
        answer = call(consortium, "POST", "/v1/downloads", body, member=reader)
        assert answer.refusal == (409, "access-not-recorded", True)
        path = tmp_path / "model"
        party = await trial.party(reader)
        await party.data_get(trial.run, reference_of(model), model.artifact.organisation, path)
        grant = DownloadGrant.decode(call(consortium, "POST", "/v1/downloads", body, member=reader).body)
        assert (grant.organisation, grant.size_bytes) == ("HospitalA", path.stat().st_size)
        again = tmp_path / "again"
        download_file(
            grant.request.request(),
            again,
            expected_bytes=grant.size_bytes,
            expected_sha256=model.artifact.sha256,
            allowed_hosts={consortium.store.url.removeprefix("http://")},
            timeout_seconds=10,
        )
        assert again.read_bytes() == path.read_bytes()


async def test_the_owner_reads_without_a_record_and_nobody_else_reads_an_update(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        update = await trial.train(SILO, values=np.zeros(trial.elements, np.float32))
        body = {"run": trial.run, "artifact": reference_of(update).model_dump(mode="json")}
        assert call(consortium, "POST", "/v1/downloads", body, member="HospitalB/auditor").status == 200
        # Not selected yet, so not the aggregator's either.
        for member in ("HospitalC/silo", "HospitalA/aggregator", "HospitalA/operator", "HospitalC/verifier"):
            answer = call(consortium, "POST", "/v1/downloads", body, member=member)
            assert answer.refusal == (409, "access-not-recorded", True)


async def test_an_artifact_that_the_ledger_does_not_have_is_not_served(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        model = reference_of(await trial.until_global(0)).model_dump(mode="json")
        for reference in (NOTHING, {**model, "sha256": "0" * 64}, {**model, "round": 1, "attempt": 1}):
            body = {"run": trial.run, "artifact": reference}
            answer = call(consortium, "POST", "/v1/downloads", body)
            assert answer.refusal == (404, "artifact-unknown", True)


def access_to(consortium: Consortium, trial: Trial, artifact: dict[str, Any], member: str, **changes: Any) -> Any:
    """A member's record of its access, as it comes with the request for the artifact."""
    body = {"run": trial.run, "artifacts": [artifact]}
    return json.loads(signed(consortium, member, changes.pop("kind", "record_access"), changes.pop("body", body)))


async def test_the_record_may_come_with_the_request_and_is_on_the_ledger_then(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        model = reference_of(await trial.until_global(0)).model_dump(mode="json")
        access = access_to(consortium, trial, model, "HospitalC/viewer")
        body = {"run": trial.run, "artifact": model, "access": access}
        first = DownloadGrant.decode(call(consortium, "POST", "/v1/downloads", body, member="HospitalC/viewer").body)
        assert first.committed is not None
        assert not first.committed.repeated
        records = call(consortium, "GET", f"/v1/records?prefix=run/{trial.run}/access/").json["records"]
        assert [json.loads(found["record"])["reader"] for found in records] == ["HospitalC/viewer"]
        # Who needs no record, or has one, hands in none.
        again = DownloadGrant.decode(call(consortium, "POST", "/v1/downloads", body, member="HospitalC/viewer").body)
        assert again.committed is None
        body = {"run": trial.run, "artifact": model, "access": access_to(consortium, trial, model, "HospitalA/auditor")}
        owner = DownloadGrant.decode(call(consortium, "POST", "/v1/downloads", body, member="HospitalA/auditor").body)
        assert owner.committed is None


async def test_only_the_senders_own_record_of_this_artifact_is_handed_in(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        model = reference_of(await trial.until_global(0)).model_dump(mode="json")
        reader = "HospitalC/viewer"
        others = access_to(consortium, trial, model, "HospitalB/viewer")
        another_artifact = access_to(consortium, trial, {**model, "sha256": "0" * 64}, reader)
        another_run = access_to(consortium, trial, model, reader, body={"run": "never", "artifacts": [model]})
        another_kind = access_to(
            consortium, trial, model, reader, kind="stop_run", body={"run": trial.run, "reason": "enough"}
        )
        no_record = access_to(consortium, trial, model, reader, body={"run": trial.run})
        for access in (others, another_artifact, another_run, another_kind, no_record):
            body = {"run": trial.run, "artifact": model, "access": access}
            answer = call(consortium, "POST", "/v1/downloads", body, member=reader)
            assert answer.refusal == (400, "malformed", False)
        forged = {**access_to(consortium, trial, model, reader), "signature": others["signature"]}
        body = {"run": trial.run, "artifact": model, "access": forged}
        answer = call(consortium, "POST", "/v1/downloads", body, member=reader)
        assert answer.problem.code == "signature-invalid"
        assert (await trial.status()).state == "active"
        assert call(consortium, "GET", f"/v1/records?prefix=run/{trial.run}/access/").json["records"] == []


async def test_a_record_that_the_policy_does_not_admit_opens_nothing(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        update = reference_of(await trial.train(SILO)).model_dump(mode="json")
        access = access_to(consortium, trial, update, "HospitalC/silo")
        body = {"run": trial.run, "artifact": update, "access": access}
        answer = call(consortium, "POST", "/v1/downloads", body, member="HospitalC/silo")
        assert answer.problem.code == "access-not-allowed"


def test_a_run_that_is_not_there_has_no_artifacts(consortium: Consortium) -> None:
    answer = call(consortium, "POST", "/v1/downloads", {"run": "never", "artifact": NOTHING})
    assert answer.refusal == (404, "artifact-unknown", True)


@pytest.mark.parametrize(
    "artifact",
    [
        {},
        {"kind": "initial"},
        {**NOTHING, "kind": "update"},
        {**NOTHING, "member": SILO},
        {**NOTHING, "sha256": "../../secret"},
        {**NOTHING, "round": -1},
        {**NOTHING, "kind": "update", "member": "HospitalB/../silo"},
    ],
)
def test_what_is_no_reference_is_refused(consortium: Consortium, artifact: dict[str, Any]) -> None:
    answer = call(consortium, "POST", "/v1/downloads", {"run": "never", "artifact": artifact})
    assert answer.refusal == (400, "malformed", False)


def test_the_log_shows_no_signed_url(consortium: Consortium) -> None:
    grant = UploadGrant.decode(call(consortium, "POST", "/v1/uploads", UPLOAD, member=SILO).body)
    signature = grant.request.url.rpartition("=")[2]
    for log in (consortium.ledger.log(), consortium.store.log()):
        assert signature not in log
        assert "signature=" not in log
