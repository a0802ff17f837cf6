"""What the client does not do, and what it does when something fails; with a real ledger service and store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from consilo.protocol.records import ExclusionReason
from tests.integration.client_play import entry, get, logged, play
from tests.integration.consortium import Consortium, until_true

OTHER_TASKS = json.dumps({"watched@2": "tests.integration.client_tasks:Watched"})


async def test_a_task_that_fails_is_tried_a_few_times_and_again_in_the_next_round(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with play(consortium, tmp_path, "failing") as p:
        await p.start(with_other=True)
        (tmp_path / "fail").touch()
        with p.client(retries__tries=2) as client:
            await until_true(logged(client, "given up for this attempt"), "the silo to give up")
            (given_up,) = client.events("given up for this attempt")
            assert given_up["code"] == "task-failed"
            assert "the scanner is away" in str(given_up["reason"])
            assert "client_tasks.py" in str(given_up["details"])
            assert entry(client, "failing")["trouble"] == "task-failed"
            assert "scanner" not in json.dumps(get(client, "/v1/status"))
            (tmp_path / "fail").unlink()
            await p.publish_other()
            await p.next_global()
            await p.published(round=1)
            assert client.end() == 0
        assert p.lines("trainings") == ["failing 0 1", "failing 0 1", "failing 1 1"]
        assert len(p.lines("loads")) == 1


@pytest.mark.parametrize(
    ("reason", "count"), [("unavailable", 1), ("digest-mismatch", 1), ("malformed", 2), ("not-finite", 2)]
)
async def test_an_excluded_update_is_replaced(
    consortium: Consortium, tmp_path: Path, reason: ExclusionReason, count: int
) -> None:
    async with play(consortium, tmp_path, f"excluded-{reason}") as p:
        await p.start(rounds=1)
        with p.client() as client:
            first = await p.published()
            await p.reopen(reason)
            second = await p.published(attempt=2)
            assert second.artifact.key != first.artifact.key
            assert second.artifact.sha256 == first.artifact.sha256
            assert len(p.lines("trainings")) == count
            assert client.end() == 0


async def test_the_policy_says_which_runs_a_silo_joins(consortium: Consortium, tmp_path: Path) -> None:
    cases = {
        "policy-proposer": {"policy__proposers": '["HospitalC"]'},
        "policy-name": {"policy__runs": '["other-*"]'},
        "policy-task": {"tasks": OTHER_TASKS},
    }
    settings = ("CONSILO_CLIENT_POLICY__PROPOSERS", "CONSILO_CLIENT_POLICY__RUNS", "CONSILO_CLIENT_TASKS")
    for (name, values), setting in zip(cases.items(), settings, strict=True):
        async with play(consortium, tmp_path, name) as p:
            await p.start()
            with p.client(**values) as client:
                await until_true(logged(client, "not joining a run that names this silo"), "the refusal")
                (line,) = client.events("not joining a run that names this silo")
                assert setting in str(line["because"])
                assert line["run"] == name
                assert get(client, "/v1/status")["runs"] == []
                assert client.end() == 0
    assert p.lines("loads") == []


async def test_more_samples_than_the_run_allows_are_not_published(consortium: Consortium, tmp_path: Path) -> None:
    async with play(consortium, tmp_path, "many") as p:
        await p.start(max_samples=9)
        with p.client() as client:
            await until_true(logged(client, "given up for this attempt"), "the silo to give up")
            (line,) = client.events("given up for this attempt")
            assert line["code"] == "too-many-samples"
            assert "CONSILO_CLIENT_DATA" in str(line["reason"])
            assert "10 samples" in str(line["reason"])
            await p.reported(0)
            assert (await p.attempt()).updates == ()
            assert client.end() == 0
        assert len(p.lines("trainings")) == 1


async def test_a_work_directory_serves_one_client_at_a_time(consortium: Consortium, tmp_path: Path) -> None:
    async with play(consortium, tmp_path, "locked") as p:
        with p.client(), pytest.raises(AssertionError, match="another client uses the work directory"), p.client():
            pass
