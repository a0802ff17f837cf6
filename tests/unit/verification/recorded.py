"""Blocks of a real channel, in a file: each with its length before it, compressed. Reads and writes files."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

RECORDED: Final = Path(__file__).with_name("recorded.xz")
"""Made by `tests.fabric.recording`: three organisations, and one that is added; capabilities V2_0 and V2_5."""

_LENGTH_BYTES: Final = 4


def write_blocks(file: Path, blocks: Iterable[bytes]) -> None:
    """Write blocks to a file."""
    file.write_bytes(lzma.compress(b"".join(len(block).to_bytes(_LENGTH_BYTES, "big") + block for block in blocks)))


def read_blocks(file: Path = RECORDED) -> list[bytes]:
    """The blocks of a file."""
    return list(_parts(lzma.decompress(file.read_bytes())))


def _parts(data: bytes) -> Iterator[bytes]:
    while data:
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        yield data[_LENGTH_BYTES:end]
        data = data[end:]
