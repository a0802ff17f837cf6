"""docs/reference/cli.md: made from the command line's own description of itself. Pure."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any, Final

import typer

from consilo.cli import exits
from consilo.cli.main import app
from tools.markdown import code, heading, link, page, paragraph, table

_COMMON: Final = ("gateway", "identity", "patience", "state", "private_networks", "as_json")
_COMMON_TITLE: Final = "Common options"


def cli_page() -> str:
    """The whole page."""
    commands = list(walk(typer.main.get_command(app), "consilo"))
    runnable = [(path, command) for path, command in commands if not _children(command)]
    return page(
        "Command line reference",
        paragraph(
            "`consilo` is installed with the library. Errors are told on standard error as `error [code]: sentence.`; "
            "`--json` prints what a program can read."
        ),
        table(
            ("command", "what it does"),
            [(link(path, path), _summary(command)) for path, command in runnable],
        ),
        heading(2, _COMMON_TITLE),
        paragraph("Of every command that reaches a gateway."),
        table(("option", "default", "meaning"), _common(runnable)),
        heading(2, "Exit codes"),
        table(("code", "meaning"), _exit_codes()),
        *(part for path, command in runnable for part in _command(path, command)),
    )


def walk(command: Any, path: str) -> list[tuple[str, Any]]:
    """A command and all below it, each with the words that call it."""
    found = [(path, command)]
    for name, child in _children(command):
        found += walk(child, f"{path} {name}")
    return found


def _children(command: Any) -> list[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        return []
    context = typer.Context(command)
    names = command.list_commands(context)
    return [(name, child) for name in names if (child := command.get_command(context, name)) is not None]


def _command(path: str, command: Any) -> list[str]:
    context = typer.Context(command)
    pieces = [piece for parameter in command.params for piece in parameter.get_usage_pieces(context)]
    usage = " ".join([path, "[OPTIONS]", *pieces])
    reaches_a_gateway = any(parameter.name == "gateway" for parameter in command.params)
    arguments, options = [], []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            arguments.append((code(parameter.metavar or parameter.name.upper()), parameter.help or ""))
        elif not parameter.hidden and not (reaches_a_gateway and parameter.name in _COMMON):
            options.append((_option(parameter), _default(parameter), parameter.help or ""))
    return [
        part
        for part in (
            heading(2, path),
            f"    {usage}",
            _help(command),
            table(("argument", "meaning"), arguments),
            table(("option", "default", "meaning"), options),
            f"And the {link('common options', _COMMON_TITLE)}." if reaches_a_gateway else "",
        )
        if part
    ]


def _common(commands: list[tuple[str, Any]]) -> list[tuple[str, str, str]]:
    found = {parameter.name: parameter for _, command in commands for parameter in command.params}
    return [(_option(found[name]), _default(found[name]), found[name].help or "") for name in _COMMON if name in found]


def _option(parameter: Any) -> str:
    names = ", ".join(code(name) for name in [*parameter.opts, *parameter.secondary_opts])
    variable = f"<br>{code(str(parameter.envvar))}" if parameter.envvar else ""
    return names + variable


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None or callable(value) or (parameter.is_flag and value is False) or parameter.show_default is False:
        return ""
    return code(str(value))


def _summary(command: Any) -> str:
    return str(_help(command)).split("\n\n", maxsplit=1)[0]


def _help(command: Any) -> str:
    text = inspect.cleandoc(command.help or "").replace("\f", "").replace("\b\n", "")
    blocks = []
    for block in text.split("\n\n"):
        first, *rest = block.splitlines() or [""]
        if rest and all(line.startswith(" ") for line in rest):  # an example
            blocks += [first, textwrap.indent(textwrap.dedent("\n".join(rest)), "    ")]
        elif block.startswith("1. "):
            blocks.append(block)
        else:
            blocks.append(paragraph(block))
    return "\n\n".join(block for block in blocks if block)


def _exit_codes() -> list[tuple[str, str]]:
    meanings = {
        exits.OK: "done",
        exits.FAILED: "refused or failed",
        exits.USAGE: "wrong usage",
        exits.FOUND: "a verification found something wrong, or a ledger lost blocks that it showed before",
        exits.UNAVAILABLE: "a gateway, a store or a disk is away: the same command may succeed later",
        exits.INTERRUPTED: "interrupted",
    }
    return [(code(str(number)), meaning) for number, meaning in meanings.items()]
