import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.store.following import FollowingDigest, FollowingWriteBack

BIG = 6 * 1024 * 1024 + 13


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("size", [0, 1, 300_000, BIG])
def test_the_digest_is_that_of_the_whole_file(descriptor: int, size: int) -> None:
    data = os.urandom(size)
    with FollowingDigest(descriptor, size) as following:
        for start in range(0, size, 1_000_000):
            os.write(descriptor, data[start : start + 1_000_000])
            following.reached(min(start + 1_000_000, size))
        assert following.finish() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [100, BIG])
def test_a_file_that_is_too_short_is_an_error(descriptor: int, size: int) -> None:
    os.write(descriptor, b"short")
    with FollowingDigest(descriptor, size) as following:
        following.reached(size)
        with pytest.raises(EOFError):
            following.finish()


def test_leaving_early_ends_the_threads(descriptor: int) -> None:
    before = threading.active_count()
    with FollowingDigest(descriptor, BIG), FollowingWriteBack(descriptor, BIG, every_bytes=1_000_000):
        assert threading.active_count() == before + 2
    assert threading.active_count() == before


def test_write_back_ends_with_all_on_the_disk(descriptor: int) -> None:
    with FollowingWriteBack(descriptor, BIG, every_bytes=1_000_000) as following:
        for position in range(0, BIG, 500_000):
            os.write(descriptor, bytes(500_000))
            following.reached(position)
        following.finish()


def test_a_failing_disk_is_told_by_finish(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        with FollowingWriteBack(writer, BIG, every_bytes=1_000_000) as following:
            following.reached(2_000_000)
            with pytest.raises(OSError, match="Invalid argument"):
                following.finish()
    finally:
        os.close(reader)
        os.close(writer)
