"""What a transaction read and wrote, in all namespaces and collections. Pure; no I/O.

A *space* is a namespace (a chaincode's public state), or one of its collections, of which the channel sees hashes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.errors import FabricBlockError

Version = tuple[int, int]
"""Of a value: number of the block and index of the transaction that wrote it."""

_HASH_OF_NOTHING: Final = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@dataclass(frozen=True)
class Space:
    """A part of the state.

    Attributes:
        namespace: name of the chaincode.
        collection: empty for the public state.
    """

    namespace: str
    collection: str = ""


@dataclass(frozen=True)
class Accesses:
    """What a transaction read and wrote in one space. Keys are bytes: of a collection, their hashes.

    Attributes:
        space: where.
        reads: key and version read; None where there was nothing.
        ranges: `kvrwset.RangeQueryInfo` of each range read.
        writes: key and value (of a collection, its hash); None takes the key away.
        writes_metadata: whether it changes what is said about keys, such as their own endorsement policies.
    """

    space: Space
    reads: tuple[tuple[bytes, Version | None], ...]
    ranges: tuple[Any, ...]
    writes: tuple[tuple[bytes, bytes | None], ...]
    writes_metadata: bool

    @property
    def changes(self) -> bool:
        """Whether it writes anything."""
        return bool(self.writes) or self.writes_metadata


def decode_accesses(results: bytes) -> tuple[Accesses, ...]:
    """Read a serialised `rwset.TxReadWriteSet`; public states before their collections, in the transaction's order.

    Raises:
        FabricBlockError: `malformed`.
    """
    try:
        found = tuple(_accesses(rwset_pb2.TxReadWriteSet.FromString(results)))
    except DecodeError as error:
        raise FabricBlockError("malformed", f"a read and write set cannot be read: {error}") from None
    return found


def _accesses(results: Any) -> Iterator[Accesses]:
    for part in results.ns_rwset:
        public = kv_rwset_pb2.KVRWSet.FromString(part.rwset)
        yield Accesses(
            space=Space(part.namespace),
            reads=tuple((read.key.encode(), version_of(read)) for read in public.reads),
            ranges=tuple(public.range_queries_info),
            writes=tuple(
                (write.key.encode(), None if write.is_delete or not write.value else write.value)
                for write in public.writes
            ),
            writes_metadata=bool(public.metadata_writes),
        )
        for collection in part.collection_hashed_rwset:
            hashed = kv_rwset_pb2.HashedRWSet.FromString(collection.hashed_rwset)
            yield Accesses(
                space=Space(part.namespace, collection.collection_name),
                reads=tuple((read.key_hash, version_of(read)) for read in hashed.hashed_reads),
                ranges=(),
                writes=tuple(
                    (
                        write.key_hash,
                        None if write.is_delete or write.value_hash in (b"", _HASH_OF_NOTHING) else write.value_hash,
                    )
                    for write in hashed.hashed_writes
                ),
                writes_metadata=bool(hashed.metadata_writes),
            )


def version_of(read: Any) -> Version | None:
    """The version that a read saw."""
    return (read.version.block_num, read.version.tx_num) if read.HasField("version") else None
