"""What the ledger's own processes use and which version they are. Reads /proc; network I/O on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from services.local.foundations import Node
from services.local.pages import PageMissing, read_page
from services.local.report import NodeFigures


async def figures_of(nodes: Sequence[Node]) -> list[NodeFigures]:
    """Peak memory and version of each; None where the process has ended or does not say."""
    return await asyncio.gather(*(asyncio.to_thread(_figures, node) for node in nodes))


def _figures(node: Node) -> NodeFigures:
    return NodeFigures(name=node.name, peak_megabytes=peak_megabytes(node.pid), version=_version(node))


def peak_megabytes(pid: int) -> float | None:
    """Peak resident memory of a process, in megabytes (10**6 bytes); None when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), None)


def _version(node: Node) -> str | None:
    if node.operations_url is None:
        return None
    try:
        return str(read_page(f"{node.operations_url}/version").get("Version"))
    except PageMissing:
        return None
