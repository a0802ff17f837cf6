import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.api.transfer_errors import (
    DigestMismatch,
    ObjectExists,
    SizeMismatch,
    TransferError,
)
from consilo.api.transfers import download_file, open_upload, upload_file
from consilo.store.keys import unique_key
from tests.unit.store.running import RunningStore, running_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(tmp_path_factory.mktemp("store")) as service:
        yield service


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 9_000_001])
def test_a_file_goes_to_the_store_and_comes_back(store: RunningStore, tmp_path: Path, size: int) -> None:
    source, copy, data, key = tmp_path / "source", tmp_path / "copy", os.urandom(size), unique_key("file")
    source.write_bytes(data)
    digest = upload_file(store.adapter.sign_put(key, size, 60), source, allowed_hosts={store.host}, timeout_seconds=10)
    assert digest == hashlib.sha256(data).hexdigest()
    download_file(
        store.adapter.sign_get(key, 60),
        copy,
        expected_bytes=size,
        expected_sha256=digest,
        allowed_hosts={store.host},
        timeout_seconds=10,
    )
    assert copy.read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


@pytest.mark.parametrize(
    ("size", "digest", "error"),
    [(7, "0" * 64, DigestMismatch), (8, "0" * 64, SizeMismatch), (6, "0" * 64, SizeMismatch)],
)
def test_a_file_of_other_bytes_never_appears(
    store: RunningStore, tmp_path: Path, size: int, digest: str, error: type[TransferError]
) -> None:
    key, source, copy = unique_key("file"), tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"weights")
    copy.write_bytes(b"what was there before")
    upload_file(store.adapter.sign_put(key, 7, 60), source, allowed_hosts={store.host}, timeout_seconds=10)
    with pytest.raises(error):
        download_file(
            store.adapter.sign_get(key, 60),
            copy,
            expected_bytes=size,
            expected_sha256=digest,
            allowed_hosts={store.host},
            timeout_seconds=10,
        )
    assert copy.read_bytes() == b"what was there before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_a_file_of_another_size_than_was_signed_is_not_sent(store: RunningStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"weights and more")
    with pytest.raises(SizeMismatch):
        upload_file(
            store.adapter.sign_put(unique_key("file"), 7, 60),
            tmp_path / "source",
            allowed_hosts={store.host},
            timeout_seconds=10,
        )


def test_proxies_of_the_environment_are_ignored(store: RunningStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    key = unique_key("proxy")
    with open_upload(
        store.adapter.sign_put(key, 1, 60), size_bytes=1, allowed_hosts={store.host}, timeout_seconds=5
    ) as upload:
        upload.write(memoryview(b"1"))
        upload.finish()


def test_a_refused_upload_stops_early_and_tells_why(store: RunningStore) -> None:
    key, size = unique_key("taken"), 200_000_000
    with open_upload(
        store.adapter.sign_put(key, 1, 60), size_bytes=1, allowed_hosts={store.host}, timeout_seconds=5
    ) as upload:
        upload.write(memoryview(b"1"))
        upload.finish()
    sent = 0
    with open_upload(
        store.adapter.sign_put(key, size, 60), size_bytes=size, allowed_hosts={store.host}, timeout_seconds=5
    ) as upload:
        block = memoryview(bytes(1_000_000))

        def send_all() -> None:
            nonlocal sent
            while True:
                upload.write(block)
                sent += len(block)

        with pytest.raises(ObjectExists):
            send_all()
    assert sent < size // 2


def test_an_upload_takes_no_more_and_no_fewer_bytes_than_announced(store: RunningStore) -> None:
    key = unique_key("size")
    with open_upload(
        store.adapter.sign_put(key, 7, 60), size_bytes=7, allowed_hosts={store.host}, timeout_seconds=5
    ) as upload:
        with pytest.raises(SizeMismatch):
            upload.write(memoryview(b"eight !!"))
        upload.write(memoryview(b"six !!"))
        with pytest.raises(SizeMismatch):
            upload.finish()
    assert store.adapter.head(key) is None


def test_a_request_signed_for_another_method_is_a_mistake_of_the_caller(store: RunningStore) -> None:
    with pytest.raises(ValueError, match="GET"):
        open_upload(store.adapter.sign_get("a", 60), size_bytes=1, allowed_hosts={store.host}, timeout_seconds=5)
