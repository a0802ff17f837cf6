"""The commit hash: what a peer says that its state is after each block. Pure; no I/O.

Each peer hashes the codes that it gave the transactions, all that the valid ones wrote, and its hash of the block
before (Fabric's `kvledger.addBlockCommitHash`). Two peers with the same hash agree on everything up to there.

The writes are hashed as a protobuf message that Fabric defines for this alone (`txmgr.Updates`): by namespace, in each
the public state before the collections, keys in order, the last write of a key only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from consilo.fabric.readwrite import Accesses, Space, Version


def commit_hash(previous: bytes, codes: bytes, written: Iterable[tuple[Version, Sequence[Accesses]]]) -> bytes | None:
    """The hash after a block.

    Args:
        previous: the hash after the block before; empty for block 1.
        codes: of all transactions of the block.
        written: version and accesses of each valid transaction, in order.

    Returns:
        32 bytes; None where what was written cannot be known from the block (what is said about keys has changed).
    """
    last: dict[Space, dict[bytes, tuple[bytes | None, Version]]] = {}
    for version, accesses in written:
        for each in accesses:
            if each.writes_metadata:
                return None
            for key, value in each.writes:
                last.setdefault(each.space, {})[key] = (value, version)
    updates, namespace = b"", None
    for space in sorted(last, key=lambda space: (space.namespace.encode(), space.collection.encode())):
        for number, (key, (value, version)) in enumerate(sorted(last[space].items())):
            names = _field(1, space.namespace.encode()) if space.namespace != namespace else b""
            names += _field(2, space.collection.encode()) if number == 0 else b""
            namespace = space.namespace
            updates += _field(1, names + _write(key, value, version))
    return hashlib.sha256(_varint(len(codes)) + codes + updates + previous).digest()


def _write(key: bytes, value: bytes | None, version: Version) -> bytes:
    said = b"\x20\x01" if value is None else _field(5, value)  # field 4: it is taken away
    return _field(3, key) + said + _field(6, _height(version))


def _height(version: Version) -> bytes:
    """Block and index as Fabric's order-preserving numbers: count of bytes, bytes."""
    parts = [number.to_bytes((number.bit_length() + 7) // 8, "big") for number in version]
    return b"".join(bytes([len(part)]) + part for part in parts)


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes; like all of protobuf 3, left out when empty."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content if content else b""


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
