"""Questions before what cannot be undone. Reads standard input; asks on standard error."""

from __future__ import annotations

import sys

import typer

from consilo.cli.exits import USAGE, CliError
from consilo.cli.output import printable


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `yes`; return when the answer is yes.

    Raises:
        CliError: `not-confirmed`: the answer is another, or there is nobody to ask.
    """
    if yes:
        return
    typer.echo(f"{printable(question)} [y/N] ", nl=False, err=True)
    line = sys.stdin.readline()
    if not line:
        typer.echo(err=True)
        raise CliError("not-confirmed", "nobody answered; say --yes if you mean it", exit_code=USAGE)
    if line.strip().lower() not in {"y", "yes"}:
        raise CliError("not-confirmed", "nothing was done")
