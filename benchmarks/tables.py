"""What a benchmark found, as a table for a terminal or a page of documentation, and as JSON. Reads, writes files."""

from __future__ import annotations

import json
import os
import platform
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from rich.console import Console
from rich.table import Table

_LINE_CHARACTERS: Final = 120


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        title: its heading.
        text: what was measured, and how.
        columns: names; all but the first `left` hold numbers.
        rows: cells.
        left: columns of words, at the left.
        figures: the same in full precision, for programs.
        machine: where it was measured.
    """

    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    left: int = 0
    figures: Any = None
    machine: str = field(
        default_factory=lambda: f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"
    )

    def table(self) -> Table:
        """For a terminal."""
        result = Table(title=self.title, title_justify="left")
        for index, column in enumerate(self.columns):
            result.add_column(column, justify="left" if index < self.left else "right")
        for row in self.rows:
            result.add_row(*row)
        return result

    def markdown(self) -> str:
        """For a page, as its section."""
        rule = tuple("---" if index < self.left else "---:" for index in range(len(self.columns)))
        lines = "".join(f"| {' | '.join(line)} |\n" for line in (self.columns, rule, *self.rows))
        return f"## {self.title}\n\n{textwrap.fill(self.text, _LINE_CHARACTERS)}\n\n{lines}"

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**found, "columns": tuple(found["columns"]), "rows": [tuple(row) for row in found["rows"]]})


def show(sections: Mapping[str, Section], report: Path | None) -> None:
    """Print tables, and write each into a directory under its name, if there is one."""
    console = Console(width=120 if not sys.stdout.isatty() else None)
    for name, section in sections.items():
        console.print(section.table())
        console.print(section.text, style="dim")
        if report is not None:
            section.save(report / f"{name}.json")
