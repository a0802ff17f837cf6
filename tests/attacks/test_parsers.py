"""Every parser that reads what others wrote, fuzzed: it reads, or refuses with an error of its own kind, and no other.

Those of the protocol, of certificates, tokens, blocks and request heads have their own such tests beside their others.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from consilo.api import models
from consilo.api.errors import ApiError
from consilo.api.gateway import _raise_problem
from consilo.api.heads import verify_head
from consilo.api.models import Position, Problem, SignedHead
from consilo.api.networks import Networks
from consilo.api.settings import ApiSettings
from consilo.api.transfer_errors import TransferError
from consilo.api.transfer_exchange import Exchange
from consilo.api.watch import events_in
from consilo.hosting.start import ServiceSettings
from consilo.protocol.canonical import canonical, parse
from consilo.protocol.model import Record
from consilo.protocol.refusals import InvalidInput
from consilo.store.port import SignedRequest
from services.ledger.requests import read_body
from services.ledger.settings import LedgerSettings

LARGE = [2**53, 2**64, -(2**53), 10**40]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(LARGE) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
RECORDS = sorted(
    (
        kind
        for kind in vars(models).values()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    ),
    key=lambda kind: kind.__name__,
)


@given(st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9_=-]{0,70}", fullmatch=True))
@example("MS4w=")
@example("é")
@example("=" * 7)
def test_a_cursor_is_a_place_in_its_one_spelling_or_refused(text: str) -> None:
    try:
        place = Position.of_cursor(text)
    except ValueError:
        return
    assert place.cursor() == text
    assert 0 <= place.height < 2**53
    assert 0 <= place.index < 10**10


@given(st.integers(0, 10**15 - 1), st.integers(0, 2**31 - 1))
def test_every_place_has_a_cursor(height: int, index: int) -> None:
    place = Position(height=height, index=index)
    assert Position.of_cursor(place.cursor()) == place


def fields_of(kind: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the right names, and whatever values."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(kind.model_fields, JSON))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_an_object_of_the_api_is_read_or_refused(kind: type[Record]) -> None:
    @given(JSON | fields_of(kind))
    def check(value: Any) -> None:
        data = json.dumps(value).encode()
        for read in (kind.decode, lambda data: read_body(kind, data, 10_000)):
            try:
                found = read(data)
            except InvalidInput:
                continue
            assert kind.decode(found.encode()) == found

    check()


@given(st.binary(max_size=200))
@example(b"\xff")
@example(b'{"a":' * 1000)
@example(b"9" * 5000)
def test_bytes_that_are_no_object_are_refused(data: bytes) -> None:
    for kind in RECORDS:
        with pytest.raises(InvalidInput):
            read_body(kind, data, 10_000)
    with suppress(InvalidInput):
        canonical(parse(data))


@given(
    st.sampled_from([400, 401, 404, 409, 413, 500, 502, 503, 504]),
    st.binary(max_size=200) | fields_of(Problem).map(lambda value: json.dumps(value).encode()),
)
@example(503, b"Service Unavailable")
@example(409, Problem(title="a", status=409, detail="b", code="run-exists", retryable=False).encode())
def test_an_error_of_a_gateway_is_an_error_of_the_client(status: int, data: bytes) -> None:
    with pytest.raises(ApiError):
        _raise_problem(status, data)


@given(st.lists(st.text(max_size=40) | st.sampled_from(["", "data: {}", "id: MS4w", "event: ready", ":"]), max_size=30))
@example(["event: ready", "id: MS4w", "data: {}", ""])
async def test_lines_of_an_event_stream_are_events_or_nothing(lines: list[str]) -> None:
    async def stream() -> Any:
        for line in lines:
            yield line

    found = [event async for event in events_in(stream())]
    assert len(found) <= sum(1 for line in lines if not line)
    assert all("\n" not in name + identifier or any("\n" in line for line in lines) for name, identifier, _ in found)


@given(fields_of(SignedHead))
def test_a_head_that_nobody_signed_is_refused(fields: dict[str, Any]) -> None:
    try:
        head = SignedHead.decode(json.dumps(fields).encode())
    except InvalidInput:
        return
    with pytest.raises(ApiError):
        verify_head(head, ())


@given(st.text(max_size=60), st.text(max_size=20))
@example("http://127.0.0.1:1/objects/a", "127.0.0.1:1")
@example("http://[::1", "")
@example("http://a:99999/", "a")
@example("http://a@b/", "b")
def test_a_url_is_one_of_an_allowed_host_or_refused(url: str, host: str) -> None:
    try:
        Exchange(
            SignedRequest("GET", url, {}, 0),
            "GET",
            allowed_hosts={host},
            timeout_seconds=1,
            total_timeout_seconds=None,
            ca_file=None,
            networks=None,
        )
    except TransferError:
        return
    assert host in url


@given(st.text(max_size=50))
@example("fe80::1%25eth0")
def test_an_address_is_judged_or_none(text: str) -> None:
    networks = Networks.of(("10.0.0.0/8",), text)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        with pytest.raises(ValueError, match="address"):
            networks.admits(text)
    else:
        assert networks.admits(text) in {True, False}


SETTINGS: list[tuple[type[Any], dict[str, Any]]] = [
    (ApiSettings, {}),
    (ServiceSettings, {}),
    (
        LedgerSettings,
        {"identity": "i", "embedded": {"file": "f"}, "store": {"url": "http://127.0.0.1:1", "secret_file": "s"}},
    ),
]


@pytest.mark.parametrize(("kind", "needed"), SETTINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_setting_is_taken_or_named(kind: type[Any], needed: dict[str, Any]) -> None:
    names = st.sampled_from(sorted(kind.model_fields))

    @given(names, JSON | st.text(max_size=20) | st.sampled_from(["-1", "0", "1e400", "nan", "10.0.0.1/8", "{}", "[]"]))
    def check(name: str, value: Any) -> None:
        try:
            kind(**{**needed, name: value})
        except ValidationError as wrong:
            named = {problem["loc"][0] for problem in wrong.errors(include_url=False)}
        else:
            named = {name}
        assert named == {name}

    check()


def test_every_kind_of_record_is_tried() -> None:
    kinds: list[Callable[..., Any]] = list(RECORDS)
    assert {kind.__name__ for kind in kinds} >= {
        "DownloadRequest",
        "UploadRequest",
        "Problem",
        "SignedHead",
        "Position",
    }
