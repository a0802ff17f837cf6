"""What a pod's status says of why it waits, or ended. Pure; no I/O."""

from __future__ import annotations

from typing import Any, Final

Pod = dict[str, Any]

_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})
_CHARACTERS: Final = 300


def waiting_reason(pods: list[Pod]) -> str | None:
    """Why no pod of a Job runs yet; None when it is only starting."""
    if not pods:
        return "it has no pod yet; if that stays so, look at the Job's events (a quota, a policy)"
    for pod in pods:
        status = pod.get("status", {})
        for container in status.get("containerStatuses", []):
            waiting = container.get("state", {}).get("waiting")
            if waiting and waiting.get("reason") not in _STARTING:
                return _said(waiting)
        for condition in status.get("conditions", []):
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return _said(condition)
    return None


def why_ended(pod: Pod) -> tuple[str | None, int | None]:
    """Why a pod ended, and the exit code of its container; None for what its status does not say."""
    status = pod.get("status", {})
    states = (container.get("state", {}) for container in status.get("containerStatuses", []))
    ended: dict[str, Any] = next((state["terminated"] for state in states if state.get("terminated")), {})
    code = ended.get("exitCode")
    if ended.get("reason") == "OOMKilled":
        return "OOMKilled: it needs more memory than the limit in CONSILO_CLIENT_TRAINER__JOB__RESOURCES", code
    if status.get("reason") is not None:  # evicted, say
        return _said(status), code
    for condition in status.get("conditions", []):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return _said(condition), code
    return (_said(ended) if ended else None), code


def _said(part: dict[str, Any]) -> str:
    reason, message = str(part.get("reason")), part.get("message")
    return (f"{reason}: {message}" if message else reason)[:_CHARACTERS]
