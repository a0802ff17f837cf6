"""Resident memory of the processes of a consortium. Reads /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

from services.local.processes import Services

Kind = Literal["peak", "now"]

_FIELDS: dict[Kind, str] = {"peak": "VmHWM:", "now": "VmRSS:"}


def resident_megabytes(pid: int, kind: Kind = "peak") -> float:
    """Resident memory of a process, in megabytes (10**6 bytes); 0 when it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(_FIELDS[kind]):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def children(pid: int) -> list[int]:
    """Ids of a process's children."""
    result: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # of a thread that has ended meanwhile
            result += map(int, path.read_text().split())
    return result


def memory_of(services: Services, kind: Kind = "peak") -> dict[str, float]:
    """Memory of every service, and of the training workers under them, in megabytes by name."""
    found = {}
    for name, service in services.running.items():
        if service.pid is None:
            continue
        found[name] = resident_megabytes(service.pid, kind)
        for child in children(service.pid):
            found[f"{name} worker"] = resident_megabytes(child, kind)
    return found
