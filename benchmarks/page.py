"""Puts what was measured on one page: `python -m benchmarks.page REPORTS PAGE`. Reads and writes files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.tables import Section

ORDER: Final = (
    "rounds-embedded",
    "digits",
    "long-run",
    "large-ledger",
    "submits-embedded",
    "rounds-fabric",
    "fabric",
    "submits-fabric",
)

HEAD: Final = """# What a round costs

Made by `make bench-docs`; `make bench` measures the first table, `make bench-more` the others. On this machine:
"""


def page(sections: list[Section]) -> str:
    """All tables; where they were measured on different machines, each says on which."""
    machines = list(dict.fromkeys(section.machine for section in sections))
    parts = [f"{HEAD}{'; '.join(machines)}.\n"]
    for section in sections:
        parts.append(section.markdown() + (f"\n{section.machine}.\n" if len(machines) > 1 else ""))
    return "\n".join(parts)


def main(
    reports: Annotated[Path, typer.Argument(help="Directory with the reports of benchmarks.")],
    output: Annotated[Path, typer.Argument(help="The page to write.")],
) -> None:
    """Write a page of all tables for which there is a report."""
    found = [Section.load(path) for name in ORDER if (path := reports / f"{name}.json").exists()]
    if not found:
        raise typer.BadParameter(f"there are no reports in {reports}; make them with --report")
    output.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
