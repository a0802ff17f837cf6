"""The limit of open files grows with the connections that the settings allow, as far as the system lets it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_TRY = """
import resource, sys
from consilo.hosting.descriptors import make_room_for
from consilo.hosting.logs import configure_logs
configure_logs("json")
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
room = make_room_for(int(sys.argv[3]))
print(room, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "room", "after"),
    [(1024, 4096, 500, 500, 1024), (1024, 4096, 2000, 2000, 2256), (256, 4096, 10_000, 3840, 4096)],
)
def test_room_is_made_as_far_as_it_may_be(soft: int, hard: int, wanted: int, room: int, after: int) -> None:
    # In a process of its own: a hard limit cannot be raised again.
    command = [sys.executable, "-c", _TRY, str(soft), str(hard), str(wanted)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert [int(word) for word in done.stdout.split()] == [room, after]
    warned = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["max_connections"] for line in warned] == ([] if room == wanted else [room])
