"""Which store a gateway signs for: a closed choice, told by flags or the environment."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consilo.hosting.start import CannotStart, run_service
from consilo.store.errors import InvalidSecret
from consilo.store.local import LocalObjectStore
from services.ledger.__main__ import open_store
from services.ledger.settings import LedgerSettings, LocalStoreAccess, S3StoreAccess, StoreAccess

Told = Callable[..., StoreAccess | list[dict[str, str]]]
LOCAL = ["--store.url", "http://127.0.0.1:1", "--store.secret-file", "secret"]
S3 = ["--store.kind", "s3", "--store.public-endpoint-url", "https://s3.example", "--store.bucket", "models"]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """What a service with these flags takes for its store, or what its log says when it cannot start."""

    def tell(*flags: str) -> StoreAccess | list[dict[str, str]]:
        found: list[StoreAccess] = []
        arguments = ["--log-format", "json", "--identity", "identity", "--embedded.file", "ledger", *flags]
        code = run_service(LedgerSettings, lambda settings: found.append(settings.store), arguments)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        return found[0] if code == 0 else [line for line in lines if line["level"] == "critical"]

    return tell


def test_without_a_kind_it_is_the_store_service(told: Told) -> None:
    assert told(*LOCAL) == LocalStoreAccess(url="http://127.0.0.1:1", secret_file=Path("secret"))
    assert told("--store.kind", "local", *LOCAL) == told(*LOCAL)


def test_a_bucket_is_told_by_flags(told: Told) -> None:
    access = told(
        *S3, "--store.prefix", "consilo", "--store.url-lifetime-seconds", "5", "--store.max-object-bytes", "7"
    )
    assert isinstance(access, S3StoreAccess)
    assert access.bucket_url == "https://s3.example/models/consilo/"
    assert (access.url_lifetime_seconds, access.max_object_bytes) == (5, 7)


def test_a_bucket_is_told_by_the_environment(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KIND": "s3", "PUBLIC_ENDPOINT_URL": "https://s3.example", "BUCKET": "models"}.items():
        monkeypatch.setenv(f"CONSILO_LEDGER_STORE__{name}", value)
    assert told() == told(*S3)


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        (LOCAL[:2], "SECRET_FILE"),
        ([*LOCAL, "--store.bucket", "models"], "BUCKET"),
        (S3[:4], "BUCKET"),
        ([*S3, "--store.secret-file", "secret"], "SECRET_FILE"),
        ([*S3, "--store.endpoint-url", "s3"], "ENDPOINT_URL"),
    ],
)
def test_what_is_missing_or_of_the_other_kind_is_named_as_the_operator_knows_it(
    told: Told, flags: list[str], setting: str
) -> None:
    lines = told(*flags)
    assert isinstance(lines, list)
    assert [line["setting"] for line in lines] == [f"CONSILO_LEDGER_STORE__{setting}"]


def test_another_kind_is_refused_with_the_kinds_there_are(told: Told) -> None:
    lines = told("--store.kind", "gcs")
    assert isinstance(lines, list)
    assert [line["reason"] for line in lines] == ["the kind of the object store is `local` or `s3`"]


def test_a_gateway_opens_the_adapter_of_its_kind(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("a-secret-of-at-least-thirty-two-bytes")
    local = LocalStoreAccess(url="http://127.0.0.1:1", secret_file=tmp_path / "word")
    assert isinstance(open_store(local), LocalObjectStore)
    word = tmp_path / "word"
    s3 = S3StoreAccess(
        kind="s3",
        public_endpoint_url="https://s3.example",
        bucket="models",
        access_key_file=word,
        secret_key_file=word,
    )
    assert repr(open_store(s3)) == "S3ObjectStore(https://s3.example/models/)"
    with pytest.raises(InvalidSecret):
        open_store(s3.model_copy(update={"access_key_file": tmp_path / "missing"}))
    with pytest.raises(CannotStart, match="base URL"):
        open_store(local.model_copy(update={"url": "127.0.0.1"}))
