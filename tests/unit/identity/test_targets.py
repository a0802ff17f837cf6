"""One spelling for a request's path and query."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.identity.targets import MAX_TARGET_BYTES, canonical_target


@pytest.mark.parametrize(
    ("target", "canonical"),
    [
        ("/", "/"),
        ("/v1/runs?status=active&limit=10", "/v1/runs?status=active&limit=10"),
        ("/v1/runs?limit=10&status=active", "/v1/runs?limit=10&status=active"),
        ("/v1/members/HospitalA%2fsilo", "/v1/members/HospitalA%2Fsilo"),
        ("/v1/%72uns/%7Ename", "/v1/runs/~name"),
        ("/v1/runs?cursor=a%2Bb%3d", "/v1/runs?cursor=a%2Bb%3D"),
        ("/v1/runs?", "/v1/runs?"),
        ("/a%25%32%65b", "/a%252eb"),
        ("/v1//runs", "/v1//runs"),
        ("/v1/runs?path=../x", "/v1/runs?path=../x"),
    ],
)
def test_equal_targets_have_one_spelling(target: str, canonical: str) -> None:
    assert canonical_target(target) == canonical


@pytest.mark.parametrize(
    "target",
    [
        "",
        "v1/runs",
        "http://host/v1",
        "/v1/runs#part",
        "/v1/../runs",
        "/v1/./runs",
        "/v1/%2e%2E/runs",
        "/v1/..",
        "/v1/a b",
        "/v1/a\nb",
        "/v1/%zz",
        "/v1/%2",
        "/v1/\u00fc",
        "/v1/a\\b",
        "/v1\n",
        "/" + "a" * MAX_TARGET_BYTES,
    ],
)
def test_targets_without_a_canonical_spelling_are_refused(target: str) -> None:
    with pytest.raises(ValueError, match="a target"):
        canonical_target(target)


@given(st.text(st.sampled_from("/?%25aA2eE.~-_&=+:"), max_size=40).map(lambda text: "/" + text))
def test_the_spelling_is_stable_and_means_the_same(target: str) -> None:
    try:
        canonical = canonical_target(target)
    except ValueError:
        return
    assert canonical_target(canonical) == canonical
    assert unquote_to_bytes(canonical) == unquote_to_bytes(target)
