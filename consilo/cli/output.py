"""How commands show things: JSON for programs, tables and sentences for people. Writes to standard output and error.

What comes from a ledger was written by others: characters that would steer a terminal are replaced before it is shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_ELSEWHERE: Final = 200  # where no terminal is: digests must not be folded
_SECONDS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def printable(text: object) -> str:
    """The text on one line, without characters that are not for reading."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(text))


def print_json(value: Any) -> None:
    """Print a JSON value, indented."""
    typer.echo(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print a JSON value on a line of its own, at once: for values that keep coming."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def console(*, error: bool = False) -> Console:
    """A console on standard output, or standard error."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _WIDTH_ELSEWHERE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_lines(*lines: str) -> None:
    """Print lines, made printable."""
    for line in lines:
        typer.echo(printable(line))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table without lines; cells are text (made printable) or `Text`."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(Text(column), header_style="bold", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return made


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print a table, or a sentence when there are no rows."""
    if rows:
        console().print(table(columns, rows))
    else:
        typer.echo(empty)


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values, one pair a line."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        made.add_row(Text(name), value if isinstance(value, Text) else Text(printable(value)))
    return made


def print_facts(pairs: Mapping[str, object]) -> None:
    """Print names and values, one pair a line."""
    console().print(facts(pairs))


def moment(milliseconds: int) -> str:
    """A point in time (milliseconds since the epoch), ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")


def duration(milliseconds: int) -> str:
    """A duration, e.g. `1 h 30 min`."""
    seconds, rest = divmod(milliseconds, 1000)
    if rest:
        return f"{milliseconds / 1000:g} s"
    parts = []
    for unit, length in _SECONDS:
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def size(count: int) -> str:
    """A number of bytes, in decimal units."""
    value, power = float(count), 0
    while value >= 1000 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return (
        f"{count} B"
        if power == 0
        else f"{value:.3g} {_UNITS[power]}"
        if value < 999.5
        else f"{value:.0f} {_UNITS[power]}"
    )


def short(digest: str) -> str:
    """The first digits of a digest: enough to tell digests apart by eye, not to rely on."""
    return digest[:12]
