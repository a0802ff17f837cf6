"""Brings the tables in helm/*/README.md up to date: `python -m tools.charts`; `--check` only compares. File I/O.

A chart's README is written by hand, but for what stands between `<!-- values -->` or `<!-- flows -->` and
`<!-- end -->`: the values with the comments of values.yaml, and the table of flows of files/flows.yaml.

Exit codes: 0 written, or the same; 1 a README differs, or a value has no comment.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.markdown import code, codes, table

CHARTS: Final = Path(__file__).resolve().parent.parent / "helm"

_SECTION: Final = re.compile(r"<!-- (values|flows) -->\n.*?<!-- end -->", re.DOTALL)


class Undocumented(Exception):
    """A value has no comment."""


@dataclass(frozen=True)
class Value:
    """One value of a chart.

    Attributes:
        path: keys, with dots.
        default: as JSON; None for one that only holds others.
        meaning: the comment above it.
    """

    path: str
    default: str | None
    meaning: str


def values_of(text: str) -> list[Value]:
    """The values of a values.yaml, in its order.

    Whatever has a comment is a value; it holds others if one of these has a comment too.

    Raises:
        Undocumented: a value has no comment.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise Undocumented("the values are no mapping")
    return list(_values(root, text.splitlines(), ""))


def flows_of(text: str) -> str:
    """The table of flows of a flows.yaml."""
    rows = []
    for flow in yaml.safe_load(text)["flows"]:
        ports = ", ".join(str(port) for port in flow.get("ports", ()))
        to = (
            code(flow["to"]) + (f" {ports}" if ports else "") + (" of the same organisation" if flow.get("own") else "")
        )
        rows.append((codes(flow["from"]), to, flow["why"]))
    return table(("from", "to", "why"), rows)


def readme_of(chart: Path) -> str:
    """A chart's README as it should be.

    Raises:
        Undocumented: a value has no comment.
    """
    values = values_of((chart / "values.yaml").read_text(encoding="utf-8"))
    rows = [(code(value.path), "" if value.default is None else code(value.default), value.meaning) for value in values]
    flows = chart / "files" / "flows.yaml"
    made = {
        "values": table(("value", "default", "meaning"), rows),
        "flows": flows_of(flows.read_text(encoding="utf-8")) if flows.is_file() else "",
    }
    text = (chart / "README.md").read_text(encoding="utf-8")
    return _SECTION.sub(lambda found: f"<!-- {found[1]} -->\n\n{made[found[1]]}\n\n<!-- end -->", text)


def main(arguments: list[str] | None = None, charts: Path = CHARTS) -> int:
    """Write or check the READMEs, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.charts", description="Generate tables of the charts' READMEs."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when one is out of date")
    only_check = parser.parse_args(arguments).check
    stale = []
    for readme in sorted(charts.glob("*/README.md")):
        try:
            text = readme_of(readme.parent)
        except Undocumented as error:
            print(f"{readme.parent.name}/values.yaml: {error}", file=sys.stderr)
            return 1
        if text != readme.read_text(encoding="utf-8"):
            stale.append(readme)
            if not only_check:
                readme.write_text(text, encoding="utf-8")
    names = [str(readme.relative_to(charts.parent)) for readme in stale]
    if only_check:
        for name in names:
            print(f"{name} is not what its chart says: run `make docs` and commit it", file=sys.stderr)
        return 1 if names else 0
    print(f"written: {', '.join(names)}" if names else "nothing has changed")
    return 0


def _values(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        meaning = _comment(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and _has_comments(value, lines):
            if meaning:
                yield Value(path, None, meaning)
            yield from _values(value, lines, f"{path}.")
            continue
        if not meaning:
            raise Undocumented(f"line {key.start_mark.line + 1}: {path} has no comment")
        yield Value(path, json.dumps(_plain(value), ensure_ascii=False), meaning)


def _has_comments(node: yaml.MappingNode, lines: list[str]) -> bool:
    return not node.flow_style and any(
        _comment(lines, key.start_mark.line) or (isinstance(value, yaml.MappingNode) and _has_comments(value, lines))
        for key, value in node.value
    )


def _comment(lines: list[str], number: int) -> str:
    """The comment right above a line."""
    found: list[str] = []
    while number > 0 and lines[number - 1].lstrip().startswith("#"):
        number -= 1
        found.insert(0, lines[number].lstrip().removeprefix("#").strip())
    return " ".join(found)


def _plain(node: yaml.Node) -> Any:
    return yaml.SafeLoader("").construct_document(node)


if __name__ == "__main__":
    sys.exit(main())
