"""Writes docs/reference/*.md from the code: `python -m tools.docs`; `--check` only compares. Reads and writes files.

Exit codes: 0 written, or the same; 1 a page differs from what the code says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.attacks_reference import attacks_page
from tools.cli_reference import cli_page
from tools.configuration_reference import configuration_page
from tools.faults_reference import faults_page
from tools.protocol_reference import protocol_page
from tools.rest_reference import rest_page

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"

PAGES: Final[dict[str, Callable[[], str]]] = {
    "attacks.md": attacks_page,
    "cli.md": cli_page,
    "configuration.md": configuration_page,
    "faults.md": faults_page,
    "protocol.md": protocol_page,
    "rest.md": rest_page,
}
"""File -> what makes it."""


def write(folder: Path) -> list[str]:
    """Write all pages; returns the names of those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = differing(folder)
    for name in changed:
        (folder / name).write_text(PAGES[name](), encoding="utf-8")
    return changed


def differing(folder: Path) -> list[str]:
    """Names of the pages that are missing or not what the code says."""
    return [name for name, make in PAGES.items() if _read(folder / name) != make()]


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Write or check the pages, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description="Generate docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is out of date")
    if not parser.parse_args(arguments).check:
        changed = write(folder)
        print(f"written: {', '.join(changed)}" if changed else "nothing has changed")
        return 0
    stale = differing(folder)
    for name in stale:
        print(f"docs/reference/{name} is not what the code says: run `make docs` and commit it", file=sys.stderr)
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
