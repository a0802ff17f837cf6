import io
import logging
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from consilo.api.transfers import open_upload
from consilo.store.errors import InvalidSecret, StoreError, StoreUnavailable, TooLarge
from consilo.store.s3 import S3ObjectStore
from consilo.store.s3_settings import SINGLE_PUT_BYTES, S3Settings
from tests.unit.store.hostile import saying, serving
from tests.unit.store.running_s3 import SECRET_KEY, need_versitygw, running_s3

NOW = 1_700_000_000_999


@pytest.fixture
def settings(tmp_path: Path) -> S3Settings:
    (tmp_path / "id").write_text("access-key\n")
    (tmp_path / "key").write_text(f"{SECRET_KEY}\n")
    return made(tmp_path)


def made(directory: Path, **changes: object) -> S3Settings:
    known = {
        "public_endpoint_url": "https://s3.example:9000",
        "bucket": "models",
        "access_key_file": directory / "id",
        "secret_key_file": directory / "key",
        "max_attempts": 1,
    }
    return S3Settings.model_validate({**known, **changes})


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which botocore finds no credentials and asks nobody for them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)


def test_a_put_binds_its_size_and_that_the_key_is_free(settings: S3Settings) -> None:
    signed = S3ObjectStore(settings, clock=lambda: NOW).sign_put("run/a", 7, 60)
    query = parse_qs(urlsplit(signed.url).query)
    assert query["X-Amz-SignedHeaders"] == ["content-length;host;if-none-match"]
    assert signed.headers == {"Content-Length": "7", "If-None-Match": "*"}


def test_the_expiry_that_is_told_is_the_one_that_is_signed(settings: S3Settings) -> None:
    signed = S3ObjectStore(settings, clock=lambda: NOW).sign_get("run/a", 59.2)
    query = parse_qs(urlsplit(signed.url).query)
    assert query["X-Amz-Date"] == ["20231114T221320Z"]
    assert query["X-Amz-Expires"] == ["60"]
    assert signed.expires_at == 1_700_000_060_000


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "https://s3.example:9000/models/run/a"),
        ({"addressing": "virtual"}, "https://models.s3.example:9000/run/a"),
        ({"prefix": "consilo/one"}, "https://s3.example:9000/models/consilo/one/run/a"),
        ({"prefix": "consilo/"}, "https://s3.example:9000/models/consilo/run/a"),
        ({"public_endpoint_url": "https://S3.example:443/"}, "https://s3.example/models/run/a"),
        (
            {"public_endpoint_url": "http://10.0.0.1:80", "endpoint_url": "http://store:9"},
            "http://10.0.0.1/models/run/a",
        ),
    ],
)
def test_urls_are_signed_for_the_public_endpoint(
    settings: S3Settings, tmp_path: Path, changes: dict[str, object], url: str
) -> None:
    assert S3ObjectStore(made(tmp_path, **changes)).sign_get("run/a", 60).url.partition("?")[0] == url


def test_an_object_too_large_for_one_put_is_refused_with_the_reason(settings: S3Settings) -> None:
    store = S3ObjectStore(settings)
    assert settings.max_object_bytes == SINGLE_PUT_BYTES == 5 * 2**30
    store.sign_put("a", SINGLE_PUT_BYTES, 60)
    with pytest.raises(TooLarge, match="one PUT of at most 5368709120 bytes, and uploads in several parts") as refused:
        store.sign_put("a", SINGLE_PUT_BYTES + 1, 60)
    assert refused.value.code == "too-large"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff", b"x" * 600, b"caf\xc3\xa9"])
def test_a_credentials_file_holds_one_word(settings: S3Settings, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InvalidSecret, match="one word") as refused:
        S3ObjectStore(settings)
    assert "words" not in str(refused.value)


def test_a_credentials_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSecret, match=r"cannot read .*id: No such file"):
        S3ObjectStore(made(tmp_path))


def test_without_files_the_environment_is_asked(
    tmp_path: Path, no_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = made(tmp_path, access_key_file=None, secret_key_file=None)
    with pytest.raises(InvalidSecret, match="no credentials"):
        S3ObjectStore(settings)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "temporary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a/token+")
    query = parse_qs(urlsplit(S3ObjectStore(settings).sign_get("a", 60).url).query)
    assert query["X-Amz-Credential"][0].startswith("temporary/")
    assert query["X-Amz-Security-Token"] == ["a/token+"]


@pytest.mark.parametrize(
    "changes",
    [
        {"public_endpoint_url": "s3.example"},
        {"public_endpoint_url": "https://s3.example/path"},
        {"public_endpoint_url": "https://user@s3.example"},
        {"public_endpoint_url": "https://s3.example:x"},
        {"public_endpoint_url": "ftp://s3.example"},
        {"endpoint_url": "https://"},
        {"bucket": "Upper"},
        {"bucket": "a/b"},
        {"bucket": "ab"},
        {"prefix": "../other"},
        {"prefix": "/"},
        {"region": "a b"},
        {"addressing": "other"},
        {"access_key_file": None},
        {"max_object_bytes": 0},
        {"another": 1},
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        made(tmp_path, **changes)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"503 Slow Down\r\nContent-Length: 0", StoreUnavailable),
        (b"429 Too Many Requests\r\nContent-Length: 0", StoreUnavailable),
        (b"500 Internal Server Error\r\nContent-Length: 0", StoreUnavailable),
        (b"403 Forbidden\r\nContent-Length: 0", StoreError),
        (b"nonsense", StoreUnavailable),
        (b"", StoreUnavailable),
    ],
)
def test_what_the_server_answers_to_the_gateway_has_an_error(
    settings: S3Settings, tmp_path: Path, answer: bytes, error: type[StoreError]
) -> None:
    whole = b"HTTP/1.1 " + answer + b"\r\nConnection: close\r\n\r\n" if answer else b""
    with serving(saying(whole)) as (host, _):
        store = S3ObjectStore(made(tmp_path, public_endpoint_url=f"http://{host}"))
        for operation in (store.head, store.delete):
            with pytest.raises(error) as refused:
                operation("run/a")
            assert type(refused.value) is error
            assert SECRET_KEY not in str(refused.value)


def test_the_gateway_may_reach_the_server_by_another_address_than_clients(settings: S3Settings, tmp_path: Path) -> None:
    with serving(saying(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) as (
        host,
        accepted,
    ):
        store = S3ObjectStore(made(tmp_path, endpoint_url=f"http://{host}"))
        assert store.head("run/a") is None
        assert accepted == [0]
        assert store.sign_get("run/a", 60).url.startswith("https://s3.example:9000/")


def test_no_log_line_holds_a_signature_or_a_secret_even_at_debug(tmp_path: Path) -> None:
    need_versitygw()
    written = io.StringIO()
    handler, root = logging.StreamHandler(written), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with running_s3(tmp_path) as server:
            store = server.adapter()
            signed = [store.sign_put("a", 7, 60), store.sign_get("a", 60)]
            with open_upload(signed[0], size_bytes=7, allowed_hosts={server.host}, timeout_seconds=10) as upload:
                upload.write(memoryview(b"weights"))
                upload.finish()
            store.head("a")
            store.delete("a")
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
    log = written.getvalue()
    assert "X-Amz-Signature" not in log
    assert "StringToSign" not in log
    assert SECRET_KEY not in log
    assert not any(parse_qs(urlsplit(one.url).query)["X-Amz-Signature"][0] in log for one in signed)
