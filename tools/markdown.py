"""Pieces of Markdown that the reference pages are put together from. Pure; no I/O."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

WIDTH: Final = 110
"""Columns at which prose is wrapped. Tables and code stay as they are: Markdown cannot wrap them."""

_SECTION: Final = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$", re.MULTILINE)
_BOOKKEEPING: Final = re.compile(
    r" (?:Pure(?:,? but for [^;.]*)?(?:; no I/O(?: of its own| here)?)?|No I/O(?:, no clock)?)\.(?= |$)"
)
_UNWRAPPED: Final = ("    ", "- ", "* ", "|", "1. ", "```", "#")


def page(title: str, *parts: str) -> str:
    """A whole page that says that it is generated."""
    head = f"# {title}\n\n<!-- Generated from the code by `make docs`. Do not edit. -->"
    return "\n\n".join([head, *(part.strip("\n") for part in parts if part.strip())]) + "\n"


def heading(level: int, text: str) -> str:
    """A heading of level 1 to 6."""
    return f"{'#' * level} {text}"


def paragraph(text: str) -> str:
    """Prose, wrapped."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "\n".join(
        textwrap.fill(
            " ".join(item.split()),
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for item in items
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with one line for each row; nothing when there is no row."""
    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        return ""
    ruler = ["---"] * len(columns)
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(columns), ruler, *lines])


def code(text: str) -> str:
    """Text as code, within a line."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def codes(texts: Iterable[str]) -> str:
    """Several of them, with commas."""
    return ", ".join(code(text) for text in texts)


def slug(title: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^a-z0-9_\- ]", "", title.lower()).replace(" ", "-")


def link(text: str, title: str, *, file: str = "") -> str:
    """A link to a heading, of this page or of another one."""
    return f"[{text}]({file}#{slug(title)})"


def doc(thing: object) -> str:
    """What an object's docstring says, up to its first section; a module's word on its own I/O is left out."""
    text = inspect.getdoc(thing) or ""
    found = _SECTION.search(text)
    return prose(text if found is None else text[: found.start()])


def prose(text: str) -> str:
    """A docstring's text as Markdown: its paragraphs wrapped anew, its indented blocks and lists as they are."""
    first, separator, rest = text.strip().partition("\n\n")
    blocks = [_BOOKKEEPING.sub("", " " + " ".join(first.split())).strip(), *(rest.split("\n\n") if separator else [])]
    return "\n\n".join(
        block.rstrip() if block.startswith(_UNWRAPPED) else paragraph(block) for block in blocks if block
    )


def _cell(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|")
