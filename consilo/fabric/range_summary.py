"""The summary of a long range read: a Merkle tree over what was read, as Fabric builds it. Pure; no I/O.

Fabric's own source is the specification (`rwsetutil.RangeQueryResultsHelper`): leaves are the hashes of groups of
`degree + 1` reads; whenever a level has more than `degree` hashes they are joined into one of the next level. At the
end, what is left on the lower levels is joined upwards, and the hashes of the highest level are the summary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import islice
from typing import Any

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from consilo.fabric.errors import FabricBlockError
from consilo.fabric.readwrite import Version


def is_summary_of(summary: Any, read: Iterable[tuple[bytes, Version]]) -> bool:
    """Whether a `kvrwset.QueryReadsMerkleSummary` is that of these keys and versions.

    Raises:
        FabricBlockError: `malformed`: it is no summary.
    """
    degree = summary.max_degree
    if degree < 2:
        raise FabricBlockError("malformed", f"the summary of a range is a tree of degree {degree}")
    level, hashes = summarise(read, degree)
    return bool(hashes) and level == summary.max_level and hashes == list(summary.max_level_hashes)


def summarise(read: Iterable[tuple[bytes, Version]], degree: int) -> tuple[int, list[bytes]]:
    """The highest level of the tree, and its hashes. None of up to `degree` reads: these are listed instead."""
    levels: dict[int, list[bytes]] = {1: []}
    pending = iter(read)
    while group := list(islice(pending, degree + 1)):
        if len(group) <= degree and levels == {1: []}:
            break
        _add(levels, _leaf(group), degree)
    highest = max(levels)
    for level in range(1, highest):
        nodes = levels[level]
        if nodes:
            levels[level + 1].append(nodes[0] if len(nodes) == 1 else _joined(nodes))
    last = levels[highest]
    return (highest + 1, [_joined(last)]) if len(last) > degree else (highest, last)


def _leaf(group: Iterable[tuple[bytes, Version]]) -> bytes:
    reads = kv_rwset_pb2.QueryReads(kv_reads=[_read(key, version) for key, version in group])
    return hashlib.sha256(reads.SerializeToString()).digest()


def _read(key: bytes, version: Version) -> Any:
    block, index = version
    return kv_rwset_pb2.KVRead(key=key.decode(), version=kv_rwset_pb2.Version(block_num=block, tx_num=index))


def _add(levels: dict[int, list[bytes]], leaf: bytes, degree: int) -> None:
    level, node = 1, leaf
    while True:
        nodes = levels.setdefault(level, [])
        nodes.append(node)
        if len(nodes) <= degree:
            return
        node = _joined(nodes)
        levels[level] = []
        level += 1


def _joined(nodes: list[bytes]) -> bytes:
    return hashlib.sha256(b"".join(nodes)).digest()
