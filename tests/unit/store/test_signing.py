import secrets as random_secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.store.errors import InvalidKey, InvalidSecret, UrlExpired, UrlInvalid
from consilo.store.local import LocalObjectStore
from consilo.store.port import SignedRequest, without_query
from consilo.store.signing import (
    SignedList,
    SignedTarget,
    SigningSecrets,
    signed_list,
    signed_target,
    verify_list,
    verify_target,
)

NEW, OLD = b"n" * 32, b"o" * 32
SECRETS = SigningSecrets([NEW])


def test_a_signed_put_is_verified_with_its_size() -> None:
    target = signed_target(SECRETS, "PUT", "a/b", expires_at=1000, size_bytes=7)
    assert verify_target(SECRETS, "PUT", target, now=999) == SignedTarget("a/b", 7)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_other_methods_are_verified_without_a_size(method: str) -> None:
    target = signed_target(SECRETS, method, "a/b", expires_at=1000)
    assert verify_target(SECRETS, method, target, now=0) == SignedTarget("a/b", None)


@pytest.mark.parametrize("now", [1000, 1001, 10**15])
def test_from_its_expiry_on_a_url_is_expired(now: int) -> None:
    with pytest.raises(UrlExpired):
        verify_target(SECRETS, "GET", signed_target(SECRETS, "GET", "a", expires_at=1000), now=now)


def test_whoever_changes_an_expired_url_does_not_learn_that_it_expired() -> None:
    target = signed_target(SECRETS, "GET", "a", expires_at=1000).replace("expires=1000", "expires=999")
    with pytest.raises(UrlInvalid):
        verify_target(SECRETS, "GET", target, now=2000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/a/b?", "/a/c?"),
        ("/a/b?", "/a/../b?"),
        ("/objects/", "/livez/"),
        ("size=7", "size=8"),
        ("size=7", "size=07"),
        ("&size=7", ""),
        ("&size=7", "&size=7&size=7"),
        ("expires=1000", "expires=1001"),
        ("expires=1000", "expires=1000.0"),
        ("signature=", "Signature="),
        ("&signature", "&x=1&signature"),
        ("?", "?&"),
        ("secret=", "secret=0"),
    ],
)
def test_a_url_that_was_changed_is_refused(old: str, new: str) -> None:
    target = signed_target(SECRETS, "PUT", "a/b", expires_at=1000, size_bytes=7)
    assert old in target
    with pytest.raises(UrlInvalid):
        verify_target(SECRETS, "PUT", target.replace(old, new, 1), now=0)


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=200))
def test_no_other_text_is_a_signed_url(text: str) -> None:
    with pytest.raises(UrlInvalid):
        verify_target(SECRETS, "GET", "/objects/" + text, now=0)


def test_secrets_can_be_rotated_while_urls_are_under_way() -> None:
    before, during, after = SigningSecrets([OLD]), SigningSecrets([NEW, OLD]), SigningSecrets([NEW])
    old_url = signed_target(before, "GET", "a", expires_at=1000)
    verify_target(during, "GET", old_url, now=0)
    verify_target(after, "GET", signed_target(during, "GET", "a", expires_at=1000), now=0)
    with pytest.raises(UrlInvalid):
        verify_target(after, "GET", old_url, now=0)


@pytest.mark.parametrize(
    "given_secrets", [[], [b"x" * 31], [NEW, OLD, b"p" * 32], [NEW, NEW]], ids=["none", "short", "three", "same"]
)
def test_bad_secrets_are_refused(given_secrets: list[bytes]) -> None:
    with pytest.raises(InvalidSecret):
        SigningSecrets(given_secrets)


def test_secrets_are_read_from_the_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_bytes(NEW + b"\r\n" + OLD + b"\n\n")
    read = SigningSecrets.from_file(file)
    assert read.signing_id == SECRETS.signing_id
    verify_target(read, "GET", signed_target(SigningSecrets([OLD]), "GET", "a", expires_at=1), now=0)


def test_a_missing_or_short_file_of_secrets_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSecret, match="nothing-here"):
        SigningSecrets.from_file(tmp_path / "nothing-here")
    (tmp_path / "short").write_bytes(b"too short")
    with pytest.raises(InvalidSecret, match="32"):
        SigningSecrets.from_file(tmp_path / "short")


def test_no_text_shows_a_secret() -> None:
    secret = random_secrets.token_hex(32)
    secrets = SigningSecrets([secret.encode()])
    adapter = LocalObjectStore("http://127.0.0.1:1", secrets)
    for thing in (secrets, adapter):
        assert secret not in f"{thing!r} {thing}"


def test_a_put_is_signed_with_a_size_and_nothing_else_is() -> None:
    with pytest.raises(ValueError, match="size"):
        signed_target(SECRETS, "PUT", "a", expires_at=1)
    with pytest.raises(ValueError, match="size"):
        signed_target(SECRETS, "GET", "a", expires_at=1, size_bytes=1)
    with pytest.raises(ValueError, match="POST"):
        signed_target(SECRETS, "POST", "a", expires_at=1)
    with pytest.raises(InvalidKey):
        signed_target(SECRETS, "GET", "..", expires_at=1)


def test_the_adapter_signs_by_the_clock_it_is_given() -> None:
    adapter = LocalObjectStore("http://127.0.0.1:8090/", SECRETS, clock=lambda: 5_000)
    signed = adapter.sign_put("a/b", 7, 2)
    assert signed == SignedRequest("PUT", signed.url, {"Content-Length": "7"}, 7_000)
    assert signed.url.startswith("http://127.0.0.1:8090/objects/a/b?")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:1", "ftp://h", "http://h/path", "http://h?q", "http://user@h", "http://"]
)
def test_a_base_url_is_scheme_host_and_port(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        LocalObjectStore(url, SECRETS)


def test_what_may_be_shown_of_a_url() -> None:
    assert without_query("https://user:word@h:1/a?signature=1#x") == "https://h:1/a"
    assert without_query("http://[::1") == "<not a URL>"


def test_a_signed_list_is_verified_with_its_bounds() -> None:
    target = signed_list(SECRETS, "a/b", 10, expires_at=1000)
    assert verify_list(SECRETS, target, now=999) == SignedList("a/b", 10)
    with pytest.raises(UrlExpired):
        verify_list(SECRETS, target, now=1000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("after=a/b", "after="),
        ("limit=10", "limit=11"),
        ("limit=10", "limit=1001"),
        ("expires=1000", "expires=1001"),
        ("/objects?", "/objects/?"),
        ("after=a/b&", ""),
        ("&secret", "&x=1&secret"),
    ],
)
def test_a_list_that_was_changed_is_refused(old: str, new: str) -> None:
    target = signed_list(SECRETS, "a/b", 10, expires_at=1000)
    assert old in target
    with pytest.raises(UrlInvalid):
        verify_list(SECRETS, target.replace(old, new), now=0)


def test_the_url_of_an_object_lists_nothing_and_that_of_a_list_gives_no_object() -> None:
    signature = signed_target(SECRETS, "GET", "a", expires_at=1000).rpartition("=")[2]
    forged = signed_list(SECRETS, "a", 1, expires_at=1000).rpartition("=")[0] + "=" + signature
    with pytest.raises(UrlInvalid):
        verify_list(SECRETS, forged, now=0)
    signature = signed_list(SECRETS, "a", 1, expires_at=1000).rpartition("=")[2]
    for method in ("GET", "HEAD", "DELETE"):
        forged = signed_target(SECRETS, method, "a", expires_at=1000).rpartition("=")[0] + "=" + signature
        with pytest.raises(UrlInvalid):
            verify_target(SECRETS, method, forged, now=0)
