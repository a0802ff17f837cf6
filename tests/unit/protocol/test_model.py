"""Records: strict, closed, frozen, and never anything but InvalidInput from bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from consilo.protocol import bodies, records
from consilo.protocol.model import Record
from consilo.protocol.records import Marker, Opening
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.specification import Specification
from consilo.protocol.transaction import Transaction
from tests.simulators import Consortium

MODELS: list[type[Record]] = sorted(
    {
        model
        for module in (bodies, records)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Record) and model is not Record
    }
    | {Specification, Transaction},
    key=lambda model: model.__name__,
)


def _samples() -> list[tuple[type[Record], bytes]]:
    c = Consortium(silos=2, ledger="samples")
    c.running(attestations_required=1)
    c.complete_round()
    c.report_evaluation()
    found: dict[type[Record], bytes] = {}
    for record in (*c.all(Opening), *c.all(records.Selection), *c.all(records.Update), *c.all(records.Proposal)):
        found.setdefault(type(record), record.encode())
    found[Transaction] = c.admitted[-1].transaction.encode()
    return list(found.items())


SAMPLES = _samples()


def test_a_record_reads_what_it_wrote() -> None:
    for model, data in SAMPLES:
        record = model.decode(data)
        assert record.encode() == data
        assert model.decode(record.encode()) == record
        assert record.digest() == model.decode(data).digest()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"by":"A/a","at":1,"more":1}',
        b'{"by":"A/a","at":1.0}',
        b'{"by":"A/a","at":"1"}',
        b'{"by":"A/a","at":true}',
        b'{"by":"A/a","at":-1}',
        b'{"by":"A/a","at":9007199254740992}',
        b'{"by":"A/a\\n","at":1}',
        b'{"by":["A/a"],"at":1}',
        b'{"by":"A/a","at":1,"schema_version":2}',
        b'{"by":"A/a","at":1,"schema_version":"1"}',
        b'{"by":"A/a"}',
        b'{"by":"\xff/a","at":1}',
        b'{"by":"\\ud800/a","at":1}',
    ],
)
def test_a_marker_that_is_not_exactly_one_is_malformed(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        Marker.decode(data)
    assert caught.value.code == "malformed"


def test_the_message_names_the_field_but_does_not_repeat_what_was_sent_at_length() -> None:
    with pytest.raises(InvalidInput) as caught:
        Marker.decode(b'{"by":"A/a","at":"secret"}')
    assert caught.value.message.startswith("at: ")
    assert "secret" not in caught.value.message
    hostile = {"by": "A/a", "at": 1, "\x1b[31m\n" + "x" * 10_000: 1}
    with pytest.raises(InvalidInput) as caught:
        Marker.decode(json.dumps(hostile).encode())
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@given(st.sampled_from(MODELS), st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_no_bytes_bring_anything_but_invalid_input(model: type[Record], data: bytes) -> None:
    try:
        model.decode(data)
    except InvalidInput as error:
        assert error.code == "malformed"  # noqa: PT017


JUNK: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})


@settings(max_examples=200)
@given(st.sampled_from(SAMPLES), st.data())
def test_no_mutation_of_a_record_brings_anything_but_invalid_input(
    sample: tuple[type[Record], bytes], data: st.DataObject
) -> None:
    model, encoded = sample
    value = json.loads(encoded)
    place: Any = value
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            place[key] = data.draw(JUNK)
        elif action == "remove":
            del place[key]
        elif isinstance(place, dict):
            place[data.draw(st.text(max_size=5))] = data.draw(JUNK)
        else:
            place.append(data.draw(JUNK))
        break
    try:
        record = model.decode(json.dumps(value).encode())
        assert model.decode(record.encode()) == record
    except InvalidInput as error:
        assert error.code == "malformed"  # noqa: PT017


@settings(max_examples=200)
@given(st.sampled_from(SAMPLES), st.integers(0, 10**6), st.integers(0, 255))
def test_no_changed_byte_brings_anything_but_invalid_input(
    sample: tuple[type[Record], bytes], place: int, byte: int
) -> None:
    model, encoded = sample
    data = bytearray(encoded)
    data[place % len(data)] = byte
    try:
        model.decode(bytes(data))
        Transaction.parse(bytes(data), max_bytes=10**6)
    except InvalidInput as error:
        assert error.code == "malformed"  # noqa: PT017


def test_records_cannot_be_changed_extended_or_coerced() -> None:
    marker = Marker(by="A/a", at=1)
    with pytest.raises(ValidationError):
        marker.at = 2  # type: ignore[misc]
    for fields in ({"by": "A/a", "at": 1.0}, {"by": "A/a", "at": 1, "extra": 1}, {"by": b"A/a", "at": 1}):
        with pytest.raises(ValidationError):
            Marker(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_is_strict_frozen_and_closed(model: type[Record]) -> None:
    assert model.model_config["strict"] is True
    assert model.model_config["frozen"] is True
    assert model.model_config["extra"] == "forbid"
