"""A run of the consortium, by commands at its operators' consoles. Starts processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from k8s.cluster import Cluster
from k8s.commands import CommandFailed
from k8s.console import Console
from k8s.consortium import Note
from k8s.organisations import AGGREGATOR, ORGANISATIONS, VERIFIER, Organisation
from services.local.together import together

TASK: Final = "digits_linear"
TASK_CLASS: Final = "consilo.tasks.digits_linear:DigitsLinear"
MAX_SAMPLES: Final = 100_000
_OVER: Final = frozenset({"finished", "stopped", "rejected"})

Change = Callable[[dict[str, Any]], object]
"""Hears where a run stands, whenever that changes."""


@dataclass(frozen=True)
class Agreement:
    """What the organisations agree on.

    Attributes:
        name: of the run.
        rounds: of training.
        parameters: of the task, e.g. `local_epochs`.
    """

    name: str
    rounds: int
    parameters: Mapping[str, int] = field(default_factory=dict)

    def form(self) -> str:
        """In the form that `consilo run propose` reads (TOML)."""
        return form(TASK, self.rounds, self.parameters, f'class = "{TASK_CLASS}"')


def form(task: str, rounds: int, parameters: Mapping[str, int], initial: str) -> str:
    """A run of all organisations, in the form that `consilo run propose` reads (TOML).

    Every silo is waited for; each organisation's operator may read updates, and so can verify.

    Args:
        task: its name.
        rounds: of training.
        parameters: of the task.
        initial: a line that says where the initial model comes from.
    """
    operators = ", ".join(f'"{organisation.operator}"' for organisation in ORGANISATIONS)
    described = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    silos = "\n".join(f'"{organisation.silo}" = {MAX_SAMPLES}' for organisation in ORGANISATIONS)
    return f"""\
rounds = {rounds}
minimum = {len(ORGANISATIONS)}
aggregators = ["{AGGREGATOR}"]
verifiers = ["{VERIFIER}"]
update_readers = [{operators}]

[task]
name = "{task}"
parameters = {{ {described} }}

[initial]
{initial}

[silos]
{silos}
"""


async def agree(cluster: Cluster, run: str, form: str, note: Note) -> None:
    """Propose a run at the first organisation and approve it at the others; what was done before is left.

    Args:
        cluster: in which the organisations are.
        run: its name.
        form: as `consilo run propose` reads it (TOML).
        note: hears what is being done.

    Raises:
        CommandFailed: a gateway refuses, or is away.
    """
    first, *others = (Console(cluster, organisation) for organisation in ORGANISATIONS)
    found = await first.run(run)
    if found is None:
        note(f"{first.organisation.operator} proposes run {run}")
        proposed = await first.json("run", "propose", "/dev/stdin", "--name", run, given=form)
        digest = proposed["specification_digest"]
    else:
        note(f"run {run} was proposed before")
        digest = found["specification_digest"]

    async def approve(console: Console) -> None:
        status = await console.run(run)
        if status is not None and console.organisation.msp in status["approvals"]:
            return
        note(f"{console.organisation.operator} approves it")
        await console("run", "approve", run, "--specification", digest, "--yes")

    await together(map(approve, others))


async def follow(cluster: Cluster, run: str, at: Organisation, change: Change) -> dict[str, Any]:
    """Follow a run to its end, at one organisation's gateway.

    Returns:
        Its last status.

    Raises:
        CommandFailed: it was stopped or rejected, or cannot be followed.
    """
    status: dict[str, Any] = {}
    async with aclosing(Console(cluster, at).changes(run)) as changes:
        async for status in changes:
            change(status)
    if status.get("state") not in _OVER:
        raise CommandFailed(f"run {run} cannot be followed any more; it is {status.get('state', 'unknown')}")
    return status


async def verify(cluster: Cluster, run: str, at: Organisation) -> dict[str, Any]:
    """Check everything about a run as an organisation's operator, from the blocks and the stores.

    Returns:
        The report of `consilo verify --json`, whatever it found.

    Raises:
        CommandFailed: the verification could not be made.
    """
    try:
        report: dict[str, Any] = await Console(cluster, at).json("verify", run)
    except CommandFailed as error:
        if not error.output.strip():
            raise
        report = json.loads(error.output)
    return report
