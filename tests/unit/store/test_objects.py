import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.store.errors import InvalidKey, ObjectExists, ObjectMissing, StoreFull, StoreUnavailable
from services.store.objects import ObjectDirectory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def objects(root: Path) -> Iterator[ObjectDirectory]:
    directory = ObjectDirectory(root)
    yield directory
    directory.close()


def write(objects: ObjectDirectory, key: str, data: bytes) -> str:
    with objects.receive(key, len(data)) as incoming:
        os.write(incoming.descriptor, data)
        incoming.reached(len(data))
        return incoming.publish()


def incoming_files(root: Path) -> list[str]:
    return os.listdir(root / ".incoming")  # noqa: PTH208


def test_an_object_is_a_plain_file_under_its_key(objects: ObjectDirectory, root: Path) -> None:
    digest = write(objects, "run/a", b"weights")
    assert digest == hashlib.sha256(b"weights").hexdigest()
    assert (root / "run" / "a").read_bytes() == b"weights"
    assert objects.info("run/a").size_bytes == 7
    assert objects.info("run/a").sha256 in (None, digest)
    assert incoming_files(root) == []


def test_nothing_is_visible_before_it_is_published(objects: ObjectDirectory, root: Path) -> None:
    with objects.receive("run/a", 7) as incoming:
        os.write(incoming.descriptor, b"weights")
        incoming.reached(7)
        with pytest.raises(ObjectMissing):
            objects.info("run/a")
    assert incoming_files(root) == []
    with pytest.raises(ObjectMissing):
        objects.info("run/a")


def test_what_was_not_received_whole_cannot_be_published(objects: ObjectDirectory) -> None:
    with objects.receive("a", 7) as incoming:
        incoming.reached(6)
        with pytest.raises(EOFError):
            incoming.publish()


def test_the_second_of_two_writers_loses_when_it_publishes(objects: ObjectDirectory, root: Path) -> None:
    with objects.receive("a", 5) as slow:
        write(objects, "a", b"first")
        os.write(slow.descriptor, b"other")
        slow.reached(5)
        with pytest.raises(ObjectExists):
            slow.publish()
    assert (root / "a").read_bytes() == b"first"
    assert incoming_files(root) == []


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c")])
def test_an_object_and_a_directory_cannot_have_one_name(objects: ObjectDirectory, first: str, second: str) -> None:
    write(objects, first, b"1")
    with pytest.raises(ObjectExists):
        write(objects, second, b"2")
    with pytest.raises(ObjectMissing):
        objects.info(second)
    with pytest.raises(ObjectMissing):
        objects.delete(second)


def test_deleting_removes_directories_that_become_empty(objects: ObjectDirectory, root: Path) -> None:
    write(objects, "run/1/a", b"1")
    write(objects, "run/2/a", b"1")
    objects.delete("run/1/a")
    assert not (root / "run" / "1").exists()
    assert (root / "run" / "2" / "a").exists()
    objects.delete("run/2/a")
    assert sorted(path.name for path in root.iterdir()) == [".incoming", ".lock"]
    with pytest.raises(ObjectMissing):
        objects.delete("run/2/a")


def test_a_reader_keeps_an_object_that_is_deleted(objects: ObjectDirectory) -> None:
    write(objects, "a", b"weights")
    with objects.open("a") as (descriptor, _):
        objects.delete("a")
        assert os.read(descriptor, 100) == b"weights"


def test_no_symbolic_link_is_followed(objects: ObjectDirectory, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "directory").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    for key in ("directory/secret", "file"):
        with pytest.raises(ObjectMissing):
            objects.info(key)
        with pytest.raises(ObjectMissing):
            objects.delete(key)
    for key in ("directory/new", "directory/secret", "file"):
        with pytest.raises(ObjectExists):
            write(objects, key, b"attack")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_what_is_not_a_regular_file_is_no_object(objects: ObjectDirectory, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(ObjectMissing):
        objects.info("pipe")


@pytest.mark.parametrize("key", ["../a", ".incoming/a", ".lock", "a/../b", ""])
def test_keys_that_lead_elsewhere_are_refused(objects: ObjectDirectory, key: str) -> None:
    with pytest.raises(InvalidKey):
        objects.info(key)
    with pytest.raises(InvalidKey):
        write(objects, key, b"attack")


def test_an_object_larger_than_the_disk_is_refused_at_once(objects: ObjectDirectory, root: Path) -> None:
    with pytest.raises(StoreFull), objects.receive("a", 2**60):
        pytest.fail("the room was not checked")
    assert incoming_files(root) == []


def test_room_is_left_on_the_disk(root: Path) -> None:
    objects = ObjectDirectory(root, minimum_free_bytes=2**60)
    with pytest.raises(StoreFull):
        write(objects, "a", b"1")
    assert not objects.is_writable()
    objects.close()


def test_a_disk_that_becomes_full_is_store_full(objects: ObjectDirectory, root: Path) -> None:
    with pytest.raises(StoreFull), objects.receive("a", 7):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert incoming_files(root) == []


def test_unfinished_uploads_of_an_earlier_life_are_removed(root: Path) -> None:
    (root / ".incoming").mkdir(parents=True)
    (root / ".incoming" / "leftover").write_bytes(b"half")
    objects = ObjectDirectory(root)
    assert incoming_files(root) == []
    assert objects.is_writable()
    objects.close()


def test_two_services_cannot_use_one_directory(objects: ObjectDirectory, root: Path) -> None:
    with pytest.raises(StoreUnavailable, match="another"):
        ObjectDirectory(root)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="file"):
        ObjectDirectory(tmp_path / "file")


def test_a_list_passes_over_what_is_no_object(objects: ObjectDirectory, root: Path) -> None:
    write(objects, "run/a", b"weights")
    (root / "run" / "link").symlink_to(root / "run" / "a")
    (root / "elsewhere").symlink_to(root / "run")
    (root / "Upper").write_bytes(b"not ours")
    (root / "run" / "empty").mkdir()
    page = objects.list("", 10)
    assert [(each.key, each.size_bytes) for each in page.objects] == [("run/a", 7)]
    assert page.next is None


def test_a_page_that_is_just_full_is_the_last_one(objects: ObjectDirectory) -> None:
    for name in ("a", "b"):
        write(objects, name, b"x")
    assert objects.list("", 2).next is None
    assert objects.list("", 1).next == "a"
    assert objects.list("b", 1).objects == ()
