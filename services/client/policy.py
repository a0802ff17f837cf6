"""Which runs the silo joins: its operator's word, on top of the run's specification. Pure; no I/O."""

from __future__ import annotations

from fnmatch import fnmatchcase

from consilo.protocol.specification import TaskReference
from consilo.protocol.values import organisation_of
from consilo.protocol.views import RunStatus
from services.client.settings import ClientSettings


def task_name(task: TaskReference) -> str:
    """How the setting `tasks` names a run's task: `name@version`."""
    return f"{task.name}@{task.version}"


def names(status: RunStatus, member: str) -> bool:
    """Whether the run's specification names the member as a silo."""
    return status.proposal.specification.terms_of(member) is not None


def objection(status: RunStatus, settings: ClientSettings) -> str | None:
    """Why the silo does not join a run that names it, with the setting that says so; or None: it joins."""
    proposer = organisation_of(status.proposal.proposed_by)
    if settings.policy.proposers and proposer not in settings.policy.proposers:
        return f"it was proposed by {proposer}, which CONSILO_CLIENT_POLICY__PROPOSERS does not list"
    if not any(fnmatchcase(status.run, pattern) for pattern in settings.policy.runs):
        return "its name fits no pattern of CONSILO_CLIENT_POLICY__RUNS"
    wanted = task_name(status.proposal.specification.task)
    if wanted not in settings.tasks:
        return f"its task {wanted} is not among the installed ones in CONSILO_CLIENT_TASKS"
    return None
