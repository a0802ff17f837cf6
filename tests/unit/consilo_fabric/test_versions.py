"""Which version of a key is current, and what a range would read. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from hypothesis import assume, given
from hypothesis import strategies as st

from consilo.fabric.errors import FabricBlockError
from consilo.fabric.range_summary import is_summary_of, summarise
from consilo.fabric.readwrite import Accesses, Space, Version
from consilo.fabric.versions import Conflict, Versions

SPACE = Space("consilo")
COLLECTION = Space("consilo", "secret")


def accesses(
    *,
    reads: tuple[tuple[bytes, Version | None], ...] = (),
    writes: tuple[tuple[bytes, bytes | None], ...] = (),
    ranges: tuple[Any, ...] = (),
    space: Space = SPACE,
) -> tuple[Accesses, ...]:
    return (Accesses(space, reads, ranges, writes, writes_metadata=False),)


def query(start: str, end: str, *found: tuple[str, Version], exhausted: bool = True) -> Any:
    made = kv_rwset_pb2.RangeQueryInfo(start_key=start, end_key=end, itr_exhausted=exhausted)
    made.raw_reads.SetInParent()
    for key, version in found:
        made.raw_reads.kv_reads.append(read(key, version))
    return made


def read(key: str, version: Version) -> Any:
    return kv_rwset_pb2.KVRead(key=key, version=kv_rwset_pb2.Version(block_num=version[0], tx_num=version[1]))


@pytest.fixture
def versions() -> Versions:
    made = Versions({"consilo"})
    made.write(accesses(writes=((b"a", b"1"), (b"c", b"1"))), (1, 0))
    made.write(accesses(writes=((b"b", b"1"),)), (2, 3))
    made.write(accesses(writes=((b"h", b"1"),), space=COLLECTION), (2, 3))
    return made


@pytest.mark.parametrize(
    "good",
    [
        accesses(reads=((b"a", (1, 0)), (b"b", (2, 3)), (b"none", None))),
        accesses(reads=((b"h", (2, 3)),), space=COLLECTION),
        accesses(reads=((b"a", (9, 9)),), space=Space("another")),
        accesses(ranges=(query("a", "c", ("a", (1, 0)), ("b", (2, 3))),)),
        accesses(ranges=(query("a", "c", ("a", (1, 0)), ("b", (2, 3)), ("c", (1, 0)), exhausted=False),)),
        accesses(ranges=(query("b", "", ("b", (2, 3)), ("c", (1, 0))),)),
        accesses(ranges=(query("x", "z"),)),
    ],
    ids=["keys", "hashes", "elsewhere", "range", "to-the-last-one-read", "without-an-end", "of-nothing"],
)
def test_what_is_current_is_no_conflict(versions: Versions, good: tuple[Accesses, ...]) -> None:
    versions.check(good, block=3)


@pytest.mark.parametrize(
    ("bad", "in_range"),
    [
        (accesses(reads=((b"a", (1, 1)),)), False),
        (accesses(reads=((b"a", None),)), False),
        (accesses(reads=((b"none", (1, 0)),)), False),
        (accesses(reads=((b"h", (1, 0)),), space=COLLECTION), False),
        (accesses(ranges=(query("a", "c", ("a", (1, 0))),)), True),
        (accesses(ranges=(query("a", "c", ("a", (1, 0)), ("b", (2, 2))),)), True),
        (accesses(ranges=(query("a", "c", ("a", (1, 0)), ("b", (2, 3)), ("bb", (1, 1))),)), True),
        (accesses(ranges=(query("a", "c", ("a", (1, 0)), ("b", (2, 3)), exhausted=False),)), True),
        (accesses(ranges=(query("x", "z", ("y", (1, 0))),)), True),
    ],
    ids=["older", "not-there-then", "gone", "hash", "one-more", "changed", "one-less", "the-last-one-read", "all-gone"],
)
def test_what_is_not_current_is_a_conflict(versions: Versions, bad: tuple[Accesses, ...], *, in_range: bool) -> None:
    with pytest.raises(Conflict) as conflict:
        versions.check(bad, block=3)
    assert conflict.value.in_range is in_range


def test_what_the_same_block_wrote_is_a_conflict_whatever_version_is_said_to_be_read(versions: Versions) -> None:
    versions.write(accesses(writes=((b"a", b"2"), (b"new", b"1"), (b"b", None), (b"never", None))), (3, 0))
    for key, version in ((b"a", (3, 0)), (b"a", (1, 0)), (b"new", None), (b"b", None), (b"never", None)):
        with pytest.raises(Conflict):
            versions.check(accesses(reads=((key, version),)), block=3)
    versions.check(accesses(reads=((b"a", (3, 0)), (b"b", None), (b"never", None))), block=4)


def test_ranges_see_what_the_same_block_wrote(versions: Versions) -> None:
    versions.write(accesses(writes=((b"b", None), (b"bb", b"1"))), (3, 0))
    versions.check(accesses(ranges=(query("a", "c", ("a", (1, 0)), ("bb", (3, 0))),)), block=3)
    versions.write(accesses(writes=((b"b", b"2"),)), (3, 1))
    versions.check(accesses(ranges=(query("a", "c", ("a", (1, 0)), ("b", (3, 1)), ("bb", (3, 0))),)), block=3)


# The summary of a long range


def found(count: int) -> list[tuple[bytes, Version]]:
    return [(b"k%04d" % number, (1 + number // 7, number % 7)) for number in range(count)]


def summary(count: int, degree: int = 50) -> Any:
    level, hashes = summarise(found(count), degree)
    return kv_rwset_pb2.QueryReadsMerkleSummary(max_degree=degree, max_level=level, max_level_hashes=hashes)


@pytest.mark.parametrize(
    ("degree", "count", "level", "hashes", "digest"),
    [
        (2, 4, 1, 2, "53238e0cfd250245"),
        (2, 9, 2, 1, "520ce0c1d3965516"),
        (2, 21, 3, 1, "fd517a52c2d55c08"),
        (2, 101, 4, 2, "57d4e29aacd98727"),
        (2, 3000, 7, 2, "23d1f18b6b0a9562"),
        (3, 28, 2, 2, "7afb4d8dd82ecb19"),
        (50, 51, 1, 1, "a834a8389e001571"),
        (50, 153, 1, 3, "438d9969874e8ad1"),
        (50, 2601, 2, 1, "f0443174ab8068e7"),
        (50, 3000, 2, 2, "89308817156897e2"),
    ],
)
def test_a_long_range_is_told_by_the_tree_of_hashes_that_fabric_s_own_code_makes(
    degree: int, count: int, level: int, hashes: int, digest: str
) -> None:
    made = summary(count, degree)
    assert (made.max_level, len(made.max_level_hashes)) == (level, hashes)
    assert hashlib.sha256(b"".join(made.max_level_hashes)).hexdigest()[:16] == digest
    assert is_summary_of(made, found(count))


@given(st.integers(3, 200), st.integers(2, 9), st.data())
def test_a_range_that_reads_otherwise_has_another_summary(count: int, degree: int, data: st.DataObject) -> None:
    assume(count > degree)
    whole, right = found(count), summary(count, degree)
    index = data.draw(st.integers(0, count - 1))
    key, (block, transaction) = whole[index]
    assert not is_summary_of(right, whole[:index] + whole[index + 1 :])
    assert not is_summary_of(right, [*whole[:index], (key, (block, transaction + 1)), *whole[index + 1 :]])
    assert not is_summary_of(right, [*whole, (b"more", (1, 0))])


def test_a_long_range_with_its_summary_is_current_until_it_reads_otherwise() -> None:
    versions = Versions({"consilo"})
    for key, version in found(60):
        versions.write(accesses(writes=((key, b"1"),)), version)
    reads = kv_rwset_pb2.RangeQueryInfo(start_key="k", end_key="l", itr_exhausted=True, reads_merkle_hashes=summary(60))
    versions.check(accesses(ranges=(reads,)), block=99)
    versions.write(accesses(writes=((b"k0030", b"2"),)), (99, 0))
    with pytest.raises(Conflict, match="range"):
        versions.check(accesses(ranges=(reads,)), block=99)


@pytest.mark.parametrize("degree", [0, 1])
def test_a_tree_of_no_degree_is_refused(degree: int) -> None:
    with pytest.raises(FabricBlockError):
        is_summary_of(kv_rwset_pb2.QueryReadsMerkleSummary(max_degree=degree), found(3))


@pytest.mark.parametrize("count", [0, 1, 50])
def test_a_short_range_has_no_summary(count: int) -> None:
    assert summarise(found(count), 50) == (1, [])
    assert not is_summary_of(summary(count), found(count))
