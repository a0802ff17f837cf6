"""Room for as many connections as the settings allow: the process's limit of open files. Changes that limit."""

from __future__ import annotations

import resource
from typing import Final

import structlog

_RESERVED: Final = 256
"""Open files besides connections: the ledger's, logs, libraries."""

log = structlog.get_logger(__name__)


def make_room_for(connections: int) -> int:
    """Raise the process's limit of open files as far as needed and allowed.

    Returns:
        How many connections there is room for, at most `connections`. When it is fewer, the log says so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _RESERVED
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == wanted:
        return connections
    room = max(allowed - _RESERVED, allowed // 2)
    log.warning("fewer connections than set: raise the limit of open files", max_connections=room, open_files=allowed)
    return room
