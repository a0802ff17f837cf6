"""Ways to change a ledger behind its back, and what a replay says to it. Writes files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from consilo.embedded.blocks import Block, decode_block
from consilo.embedded.positions import Head
from consilo.protocol.canonical import digest
from consilo.verification.replay import Replay
from tests.unit.embedded.parties import LEDGER

BLOCKS = 8  # besides the genesis
PER_BLOCK = 3


def alter(path: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement, parameters).rowcount > 0


def head_of(bodies: list[bytes]) -> Head:
    return Head(LEDGER, len(bodies) - 1, digest(bodies[-1]))


def first(result: Replay) -> tuple[str, int | None]:
    assert not result.ok
    assert all(str(finding) for finding in result.findings)
    return result.findings[0].step, result.findings[0].block


def rechained(bodies: list[bytes], height: int, change: Callable[[Block], Block]) -> list[bytes]:
    """What one who can write the whole file makes of a block: all hashes from there on fit again."""
    result = list(bodies)
    for place in range(height, len(bodies)):
        block = decode_block(result[place]).model_copy(update={"previous": digest(result[place - 1])})
        result[place] = (change(block) if place == height else block).encode()
    return result
