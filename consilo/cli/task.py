"""`consilo task`: try a task out before it joins a run. Starts a process; writes to standard output."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from consilo.cli.commands import group, local
from consilo.cli.exits import FAILED, USAGE, CliError
from consilo.cli.output import print_json, print_lines
from consilo.cli.session import Session
from consilo.training.check import DEFAULT_STOP_WITHIN_SECONDS, Finding, check_task

app = group("Tasks: try one out before it joins a run.")

_LITERALS: Final = frozenset({"true", "false", "null"})


@app.callback()
def task() -> None:
    """Tasks: try one out before it joins a run."""


@app.command()
@local
def check(
    session: Session,
    task: Annotated[str, typer.Argument(help="The task's class, `module:Class`.", metavar="MODULE:CLASS")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="A parameter of the run (may be repeated).", metavar="NAME=VALUE", show_default=False),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="What your silo says of its data (may be repeated).", metavar="NAME=VALUE", show_default=False
        ),
    ] = None,
    stop_within: Annotated[
        float, typer.Option(help="Seconds within which a training that is cancelled must stop.", min=0.1)
    ] = DEFAULT_STOP_WITHIN_SECONDS,
) -> None:
    """Run a task alone, and say what is wrong with it.

    It trains three times.

    A value that starts with { or [, or is true, false or null, is read as JSON; any other is text, also a number.

    Example:
      consilo task check consilo.tasks.digits_linear:DigitsLinear
          --parameter local_epochs=2 --data silo=0 --data silos=4 --data seed=1
    """
    parameters, values = pairs(parameter or [], "--parameter"), pairs(data or [], "--data")
    findings = check_task(
        task,
        parameters,
        values,
        stop_within_seconds=stop_within,
        on_finding=None if session.as_json else _show,
    )
    good = all(finding.ok for finding in findings)
    if session.as_json:
        print_json({"task": task, "ok": good, "findings": [_as_json(finding) for finding in findings]})
    elif good:
        print_lines(f"{task} can join a run.")
    if not good:
        raise typer.Exit(FAILED)


def pairs(texts: list[str], option: str) -> dict[str, object]:
    """Values by name, of `name=value` texts.

    Raises:
        CliError: one is none, or a name comes twice.
    """
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CliError("value-malformed", f"{option} {text} is not NAME=VALUE", exit_code=USAGE)
        if name in found:
            raise CliError("value-malformed", f"{option} gives {name} twice", exit_code=USAGE)
        try:
            found[name] = json.loads(value) if value[:1] in {"{", "["} or value in _LITERALS else value
        except ValueError:
            raise CliError("value-malformed", f"the value of {option} {name} is not JSON", exit_code=USAGE) from None
    return found


def _show(finding: Finding) -> None:
    print_lines(f"{'✓' if finding.ok else '✗'} {finding.step}: {finding.sentence}")
    print_lines(*(f"    {line}" for line in finding.details))


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "step": finding.step,
        "ok": finding.ok,
        "sentence": finding.sentence,
        "details": list(finding.details),
    }
