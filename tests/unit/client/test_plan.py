"""What a run's status asks of a silo, on the real state machine."""

from __future__ import annotations

import pytest

from services.client.plan import is_over, may_report, turn_of
from services.client.policy import names, objection
from services.client.settings import ClientSettings
from tests.simulators import Consortium

SILO = "HospitalA/silo"


def settings(**values: object) -> ClientSettings:
    defaults = {
        "identity": "identity",
        "gateway_url": "http://127.0.0.1:1",
        "work_directory": "work",
        "tasks": {"digits@1": "consilo.tasks.digits:Digits"},
    }
    return ClientSettings.model_validate({**defaults, **values})


@pytest.fixture
def c() -> Consortium:
    return Consortium(silos=3)


def test_before_its_first_global_a_run_asks_for_nothing(c: Consortium) -> None:
    c.proposed()
    assert turn_of(c.status, SILO) is None
    c.approve_run("HospitalB"), c.approve_run("HospitalC")
    assert turn_of(c.status, SILO) is None


def test_an_open_attempt_asks_each_silo_of_its_cohort_once(c: Consortium) -> None:
    status = c.running()
    turn = turn_of(status, SILO)
    assert turn is not None
    assert turn.attempt == (0, 1)
    assert turn.work == (0, c.latest.artifact.sha256)
    assert turn_of(status, "HospitalX/silo") is None
    c.publish_update(SILO)
    assert turn_of(c.status, SILO) is None
    assert turn_of(c.status, "HospitalB/silo") is not None


def test_a_closed_attempt_asks_for_nothing(c: Consortium) -> None:
    c.running()
    c.publish_updates("HospitalB/silo", "HospitalC/silo")
    c.advance(60_000)
    c.close_round()
    assert turn_of(c.status, SILO) is None


def test_the_next_round_and_the_next_attempt_ask_again(c: Consortium) -> None:
    c.running()
    first = turn_of(c.status, SILO)
    c.close()
    c.reopen_round(None, {SILO: "malformed"})
    again = turn_of(c.status, SILO)
    assert first is not None
    assert again is not None
    assert again.work == first.work
    assert again.attempt == (0, 2)
    assert turn_of(c.status, "HospitalB/silo") is None, "its update carries over"
    c.complete_round()
    following = turn_of(c.status, SILO)
    assert following is not None
    assert following.work == (1, c.latest.artifact.sha256)


def test_a_run_that_ended_asks_for_nothing(c: Consortium) -> None:
    c.running()
    assert not is_over(c.status)
    stopped = c.copy()
    stopped.stop_run("HospitalA")
    assert is_over(stopped.status)
    assert turn_of(stopped.status, SILO) is None
    c.complete_round(), c.complete_round()
    assert is_over(c.status)
    assert turn_of(c.status, SILO) is None


def test_only_silos_of_organisations_that_approved_may_report(c: Consortium) -> None:
    c.proposed()
    assert may_report(c.status, SILO)
    assert not may_report(c.status, "HospitalB/silo")


def test_a_silo_joins_a_run_that_names_it_and_whose_task_is_installed(c: Consortium) -> None:
    c.proposed()
    assert names(c.status, SILO)
    assert not names(c.status, "HospitalA/silo-2")
    version = c.status.proposal.specification.task.version
    installed = {f"digits@{version}": "consilo.tasks.digits:Digits"}
    assert objection(c.status, settings(tasks=installed)) is None
    other = objection(c.status, settings(tasks={"digits@other": "consilo.tasks.digits:Digits"}))
    assert other is not None
    assert "CONSILO_CLIENT_TASKS" in other


def test_the_policy_objects_by_proposer_and_by_name(c: Consortium) -> None:
    c.proposed()
    assert "POLICY__PROPOSERS" in (objection(c.status, settings(policy={"proposers": ["HospitalB"]})) or "")
    assert "POLICY__RUNS" in (objection(c.status, settings(policy={"runs": ["heart-*"]})) or "")


@pytest.mark.parametrize(
    "values",
    [
        {"tasks": {}},
        {"tasks": {"digits": "consilo.tasks.digits:Digits"}},
        {"tasks": {"digits@1": "consilo.tasks.digits"}},
        {"tasks": {"digits@1": "os:system('x')"}},
        {"data": {"a": 1}, "data_file": "data.json"},
        {"worker": {"environment": {"CONSILO_SECRET": "x"}}},
        {"worker": {"threads": 0}},
        {"retries": {"tries": 0}},
        {"keep_rounds": 0},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        settings(**values)
