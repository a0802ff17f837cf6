"""The `consilo` command: its groups, each imported when it is used, so that `consilo --help` answers at once. No I/O.

Exit codes are in `consilo.cli.exits`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, NamedTuple

import typer
from typer.core import TyperGroup

from consilo.cli.exits import INTERRUPTED


class _Entry(NamedTuple):
    module: str
    summary: str


_COMMANDS: Final[dict[str, _Entry]] = {
    "run": _Entry("consilo.cli.run", "Runs: propose, approve, list, show, watch, stop."),
    "model": _Entry("consilo.cli.model", "Global models of a run: list, get."),
    "verify": _Entry("consilo.cli.verify", "Check everything about a run, from the ledger's blocks and the stores."),
    "ledger": _Entry("consilo.cli.ledger", "The ledger: make its genesis, show it, verify it."),
    "organisation": _Entry("consilo.cli.organisation", "Organisations: list, register, revoke a certificate."),
    "identity": _Entry("consilo.cli.identity", "Identities: an organisation's CA and its members."),
    "task": _Entry("consilo.cli.task", "Tasks: try one out before it joins a run."),
}
"""Name of each command -> the module whose `app` it is."""

_EPILOG: Final = """\
\b
Environment:
  CONSILO_GATEWAY   URL of your organisation's ledger service (--gateway)
  CONSILO_IDENTITY  directory of your member's key and certificate (--identity)
  CONSILO_STATE     directory that remembers the newest block seen (--state)

\b
Exit codes:
  0    done
  1    refused or failed; standard error says why: `error [code]: sentence.`
  2    wrong usage
  3    a verification found something wrong, or the ledger lost blocks
  4    a gateway, store or disk is away; try again later
  130  interrupted
"""


class _LazyGroup(TyperGroup):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(_COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> typer.core.TyperCommand | TyperGroup | None:  # type: ignore[override]
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = typer.main.get_command(import_module(entry.module).app)
        command.name = cmd_name
        assert isinstance(command, typer.core.TyperCommand | TyperGroup)  # noqa: S101 - typer makes nothing else
        return command

    def format_commands(self, ctx: typer.Context, formatter: object) -> None:  # type: ignore[override]
        section, write = formatter.section, formatter.write_dl  # type: ignore[attr-defined]
        with section("Commands"):
            write([(name, entry.summary) for name, entry in _COMMANDS.items()])


app = typer.Typer(
    name="consilo",
    cls=_LazyGroup,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import consilo

        typer.echo(consilo.__version__)
        raise typer.Exit


@app.callback()
def consilo_command(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Federated learning between organisations that do not trust each other."""


def main() -> None:
    """Run the command line, and exit."""
    try:
        app()
    except KeyboardInterrupt:  # outside of a command, e.g. while modules are imported
        sys.exit(INTERRUPTED)
