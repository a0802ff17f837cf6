"""What the tests have measured, for those who read their output. Writes one file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FILE: Final = Path("build") / "e2e.json"


@dataclass
class Figures:
    """Values under headings, in the order in which they came.

    Attributes:
        sections: heading -> what was measured -> value, as text with its unit.
    """

    sections: dict[str, dict[str, str]] = field(default_factory=dict)

    def note(self, section: str, what: str, value: str) -> None:
        """Keep a value, and say it at once."""
        self.sections.setdefault(section, {})[what] = value
        print(f"\nFIGURE {section}: {what}: {value}", flush=True)

    def table(self) -> list[str]:
        """All of it in lines."""
        lines = []
        for section, values in self.sections.items():
            width = max(map(len, values))
            lines += [section, *(f"  {what:<{width}}  {value}" for what, value in values.items()), ""]
        return lines

    def save(self) -> None:
        """Write it for programs."""
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(self.sections, indent=2) + "\n", encoding="utf-8")
