"""The envelope: read from any bytes without surprise, and not to be altered on the way."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from consilo.protocol.bodies import StopRun
from consilo.protocol.canonical import canonical
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.transaction import (
    SIGNATURE_PREFIX,
    Payload,
    Transaction,
    certificate_der,
    envelope,
    payload,
    signed_bytes,
)
from tests.simulated_members import identity
from tests.simulators import Consortium

MAX_BYTES = 1_000_000


def _transaction() -> Transaction:
    return Consortium(silos=1).make.stop_run("HospitalA")


def _value() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_transaction().encode())
    return value


def _parse(value: Any) -> Transaction:
    return Transaction.parse(json.dumps(value).encode(), max_bytes=MAX_BYTES)


def test_a_transaction_is_read_back_whatever_its_spelling() -> None:
    transaction = _transaction()
    for indent in (None, 1):
        again = Transaction.parse(
            json.dumps(json.loads(transaction.encode()), indent=indent).encode(), max_bytes=MAX_BYTES
        )
        assert again == transaction
        assert again.id == transaction.id
        assert again.encode() == transaction.encode()


def test_the_id_is_that_of_the_payload_whoever_signed_it_and_however_often() -> None:
    c = Consortium(silos=1)
    first, second = c.make.stop_run("HospitalA"), c.make.stop_run("HospitalA")
    assert first.signature != second.signature
    assert first.id == second.id == first.payload.digest()
    assert first.id != c.make.stop_run("HospitalA", reason="other").id


def test_the_signature_covers_the_prefix_and_the_canonical_payload() -> None:
    transaction = _transaction()
    assert transaction.signed_bytes == SIGNATURE_PREFIX + transaction.payload.encode()
    assert signed_bytes(transaction.payload) == transaction.signed_bytes
    assert transaction.payload.encode() == canonical(json.loads(transaction.encode())["payload"])


def test_envelope_and_payload_put_together_what_a_member_signs() -> None:
    member = identity("HospitalA/operator")
    made = payload("simulation", member.member, "stop_run", StopRun(run="trial", reason="enough"))
    transaction = envelope(made, member.certificates, member.sign(signed_bytes(made)))
    assert transaction.payload.body == {"run": "trial", "reason": "enough"}
    assert transaction.certificates_der() == member.certificates
    assert len(transaction.signature_bytes()) == 64
    assert transaction.id == _transaction().id


@pytest.mark.parametrize("field", ["ledger", "type", "member"])
@pytest.mark.parametrize("value", ["", "Ａ", "a\n", "a\0", "../a", "a b", "x" * 300, 1, None, ["a"]])
def test_names_of_a_payload_are_plain_words(field: str, value: Any) -> None:
    changed = _value()
    changed["payload"][field] = value
    with pytest.raises(InvalidInput) as caught:
        _parse(changed)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(extra=1),
        lambda value: value["payload"].update(extra=1),
        lambda value: value["payload"].update(schema_version=2),
        lambda value: value["payload"].update(body=[]),
        lambda value: value["payload"]["body"].update(number=1.5),
        lambda value: value.update(certificates=[]),
        lambda value: value.update(certificates=["AA=="] * 5),
        lambda value: value.update(certificates=["A" * 16_385]),
        lambda value: value.update(signature=""),
        lambda value: value.update(signature="A" * 85),
        lambda value: value.update(signature="A" * 86 + "\n"),
        lambda value: value.update(signature="A" * 85 + "+"),
        lambda value: value.update(signature="A" * 86 + "=="),
        lambda value: value.pop("payload"),
    ],
)
def test_an_envelope_of_another_form_is_malformed(change: Any) -> None:
    value = _value()
    change(value)
    with pytest.raises(InvalidInput) as caught:
        _parse(value)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize("text", ["A", "AA=", "AA==\n", " AA==", "A*==", "AB==", "AA", "é", "AA==AA=="])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        certificate_der(text)
    assert caught.value.code == "malformed"
    assert certificate_der("AA==") == b"\0"


def test_nobody_can_respell_a_signature_on_the_way() -> None:
    c = Consortium(silos=1)
    c.proposed()
    transaction = c.make.stop_run("HospitalA")
    respelled = _respell(transaction.signature)
    padded = base64.urlsafe_b64decode(respelled + "==")
    assert padded == transaction.signature_bytes()
    with c.refused("malformed"):
        c.send(transaction.model_copy(update={"signature": respelled}))
    c.send(transaction)


def _respell(signature: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]


@settings(max_examples=150)
@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_no_bytes_bring_anything_but_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Transaction.parse(data, max_bytes=MAX_BYTES)


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_no_damage_on_the_way_brings_anything_but_invalid_input_or_another_transaction(place: int, junk: bytes) -> None:
    encoded = _transaction().encode()
    place %= len(encoded)
    try:
        transaction = Transaction.parse(encoded[:place] + junk + encoded[place + len(junk) :], max_bytes=MAX_BYTES)
        transaction.certificates_der()
        transaction.signature_bytes()
    except InvalidInput as error:
        assert error.code == "malformed"  # noqa: PT017


def test_a_payload_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValidationError):
        Payload(ledger="Ledger", member="A/a", type="stop_run", body={})
