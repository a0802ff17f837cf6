"""Signed URLs open one door each, and a store that serves other bytes than were published is found out."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from consilo.api.transfer_errors import TransferError
from consilo.protocol.access import reference_of
from consilo.store.keys import unique_key
from consilo.store.local import CODE_HEADER, LocalObjectStore, wall_clock
from consilo.store.port import SignedRequest
from consilo.store.signing import SigningSecrets
from tests.attacks.table import CODES, Attack, attacks_of
from tests.integration.consortium import Consortium
from tests.integration.test_ledger_service_objects import with_round
from tests.integration.trial import started
from tests.unit.store.running import SECRET, RunningStore, running_store

BODY = b"weights"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(tmp_path_factory.mktemp("store")) as service:
        yield service


def answer(store: RunningStore, method: str, target: str, body: bytes = b"") -> tuple[int, str | None]:
    """Status and code of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=20)
    try:
        connection.request(method, target, body or None)
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get(CODE_HEADER)
    finally:
        connection.close()


def target(request: SignedRequest) -> str:
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def put(store: RunningStore) -> str:
    """The key of an object that is there."""
    key = unique_key("trial", "HospitalA", "silo")
    assert answer(store, "PUT", target(store.adapter.sign_put(key, len(BODY), 60)), BODY)[0] == 201
    return key


Request = tuple[str, str, bytes]
Way = Callable[[RunningStore], Request]


def _another_object(store: RunningStore) -> Request:
    mine, theirs = put(store), put(store)
    return "GET", target(store.adapter.sign_get(mine, 60)).replace(mine, theirs), b""


def _another_method(store: RunningStore) -> Request:
    return "DELETE", target(store.adapter.sign_get(put(store), 60)), b""


def _later(store: RunningStore) -> Request:
    request = store.adapter.sign_get(put(store), 60)
    return "GET", target(request).replace(str(request.expires_at), str(request.expires_at + 10**9)), b""


def _another_secret(store: RunningStore) -> Request:
    stranger = LocalObjectStore(store.url, SigningSecrets([b"another secret that is long enough to be one"]))
    return "GET", target(stranger.sign_get(put(store), 60)), b""


def _expired(store: RunningStore) -> Request:
    earlier = LocalObjectStore(store.url, SigningSecrets([SECRET]), clock=lambda: wall_clock() - 60_001)
    return "GET", target(earlier.sign_get(put(store), 60)), b""


def _longer(store: RunningStore) -> Request:
    return "PUT", target(store.adapter.sign_put(unique_key("trial"), len(BODY), 60)), BODY + b"!"


def _shorter(store: RunningStore) -> Request:
    return "PUT", target(store.adapter.sign_put(unique_key("trial"), len(BODY), 60)), BODY[:-1]


def _twice(store: RunningStore) -> Request:
    request = target(store.adapter.sign_put(unique_key("trial"), len(BODY), 60))
    assert answer(store, "PUT", request, BODY)[0] == 201
    return "PUT", request, b"WEIGHTS"


def _dots(store: RunningStore) -> Request:
    key = put(store)
    return "GET", target(store.adapter.sign_get(key, 60)).replace(key, f"a/../{key}"), b""


WAYS: dict[str, Way] = {
    "a URL used for another object": _another_object,
    "a URL used for another method": _another_method,
    "a URL with a later expiry": _later,
    "a URL of another secret": _another_secret,
    "a URL after its expiry": _expired,
    "a longer body than signed for": _longer,
    "a shorter body than signed for": _shorter,
    "a second upload under one URL": _twice,
    "a key with dot segments": _dots,
}


@pytest.mark.parametrize("attack", attacks_of("tests/attacks/test_store.py::test_urls"), ids=lambda attack: attack.name)
def test_urls(store: RunningStore, attack: Attack) -> None:
    method, where, body = WAYS[attack.name](store)
    before = {name: (store.directory / name).read_bytes() for name in store.files()}
    assert answer(store, method, where, body) == (attack.status, attack.code)
    assert {name: (store.directory / name).read_bytes() for name in store.files()} == before
    put(store)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


async def _fetched_after(spoil: Callable[[Path], None], attack: str, consortium: Consortium, tmp_path: Path) -> None:
    # The initial model, after it was published.
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        model = await trial.until_global(0)
        reader, path = await trial.party("HospitalC/viewer"), tmp_path / "fetched"
        await reader.data_get(trial.run, reference_of(model), "HospitalA", path)
        path.unlink()
        spoil(consortium.object_path(model.artifact.key))
        with pytest.raises(TransferError) as refused:
            await reader.data_get(trial.run, reference_of(model), "HospitalA", path)
        assert refused.value.code == CODES[attack]
        assert not path.exists(), "bytes that nobody published appeared"


async def test_an_object_cut_short(consortium: Consortium, tmp_path: Path) -> None:
    await _fetched_after(_cut, "an object cut short after it was stored", consortium, tmp_path)


async def test_an_object_overwritten(consortium: Consortium, tmp_path: Path) -> None:
    await _fetched_after(_overwrite, "an object overwritten on the store's disk", consortium, tmp_path)


async def test_an_object_that_is_gone(consortium: Consortium, tmp_path: Path) -> None:
    await _fetched_after(Path.unlink, "an object that is gone from the store", consortium, tmp_path)
