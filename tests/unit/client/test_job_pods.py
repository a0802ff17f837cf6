"""What is said of a pod that waits or has ended, from what Kubernetes tells of it."""

from __future__ import annotations

from typing import Any

from services.client.jobs.pods import waiting_reason, why_ended


def pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    containers = [] if state is None else [{"name": "job", "state": state}]
    return {"status": {"containerStatuses": containers, **status}}


def test_a_job_without_a_pod_waits_for_what_its_events_tell() -> None:
    assert "events" in str(waiting_reason([]))


def test_a_pod_that_only_starts_has_no_reason_to_wait() -> None:
    assert waiting_reason([pod({"waiting": {"reason": "ContainerCreating"}})]) is None
    assert waiting_reason([pod({"running": {}})]) is None
    assert waiting_reason([{}]) is None


def test_an_image_that_cannot_be_pulled_is_a_reason() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    assert waiting_reason([pod({"waiting": waiting})]) == "ErrImagePull: not found"


def test_a_pod_that_no_node_takes_is_a_reason() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert waiting_reason([pod(conditions=[condition])]) == "Unschedulable: 0/1 nodes"


def test_a_pod_without_memory_says_which_setting_gives_more() -> None:
    reason, code = why_ended(pod({"terminated": {"reason": "OOMKilled", "exitCode": 137}}))
    assert code == 137
    assert "TRAINER__JOB__RESOURCES" in str(reason)


def test_an_evicted_pod_says_so() -> None:
    found = pod(reason="Evicted", message="the node was low on memory")
    assert why_ended(found) == ("Evicted: the node was low on memory", None)


def test_a_pod_that_was_disrupted_says_by_what() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m"}
    found = pod({"terminated": {"reason": "Error", "exitCode": 143}}, conditions=[condition])
    assert why_ended(found) == ("PreemptionByScheduler: m", 143)


def test_a_program_that_failed_says_how() -> None:
    assert why_ended(pod({"terminated": {"reason": "Error", "exitCode": 2}})) == ("Error", 2)
    assert why_ended(pod()) == (None, None)
