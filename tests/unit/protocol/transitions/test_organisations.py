"""Registrations and revocations."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from consilo.protocol.records import Organisation, Revocation
from tests.simulated_members import authority, identity
from tests.simulators import Consortium


def test_versions_follow_each_other_without_gap_or_return() -> None:
    c = Consortium(silos=1)
    with c.refused("registration-version"):
        c.register_organisation("HospitalA", version=3)
    c.register_organisation("HospitalA", version=2)
    c.register_organisation("HospitalA", version=3)
    for version in (1, 2, 3):
        with c.refused("registration-exists"):
            c.register_organisation("HospitalA", version=version, stores=["other.example"])


def test_a_registration_keeps_what_was_sent() -> None:
    c = Consortium(silos=1)
    c.advance(1000)
    c.register_organisation("HospitalA", gateway="https://gateway.example/v1", stores=["a.example", "b.example:9000"])
    record = c.all(Organisation)[1]
    assert (record.msp, record.version, record.gateway) == ("HospitalA", 2, "https://gateway.example/v1")
    assert record.stores == ("a.example", "b.example:9000")
    assert record.registered_at == c.clock


def test_a_registration_is_not_dated_before_the_one_that_it_replaces() -> None:
    c = Consortium(silos=1)
    c.advance(-1000)
    c.register_organisation("HospitalA")
    first, second = (record for record in c.all(Organisation) if record.msp == "HospitalA")
    assert second.registered_at == first.registered_at


def _leaf() -> bytes:
    return identity("HospitalA/operator").certificates[0]


@pytest.mark.parametrize("vouched", [False, True])
@pytest.mark.parametrize(
    ("roots", "code"),
    [
        (["not base64"], "malformed"),
        ([base64.b64encode(b"not a certificate").decode()], "certificate-malformed"),
        ([base64.b64encode(_leaf()).decode()], "certificate-malformed"),
        ([base64.b64encode(authority("HospitalA").roots[0]).decode()] * 2, "certificate-malformed"),
        ([], "malformed"),
        (["AA=="] * 9, "malformed"),
    ],
    ids=["no base64", "no certificate", "no CA", "twice", "none", "too many"],
)
def test_an_organisation_cannot_lock_itself_out_with_roots_that_are_none(
    roots: list[str], code: str, vouched: bool
) -> None:
    c = Consortium(silos=1)
    with c.refused(code):
        c.register_organisation("HospitalA", roots=roots, vouched=vouched)
    c.propose_run()


@pytest.mark.parametrize(
    "fields",
    [
        {"gateway": "http://user:password@a.example"},
        {"gateway": "file:///etc"},
        {"stores": ["A.example"]},
        {"stores": ["http://a.example"]},
        {"stores": [f"s{index}.example" for index in range(33)]},
        {"version": 0},
        {"organisation": "HospitalB"},
    ],
)
def test_places_are_plain_hosts_and_urls(fields: dict[str, Any]) -> None:
    c = Consortium(silos=1)
    with c.refused("malformed"):
        c.register_organisation("HospitalA", **fields)


def test_a_revocation_is_recorded_once_with_its_reason() -> None:
    c = Consortium(silos=1)
    c.revoke_member("HospitalA/silo", reason="the key was lost")
    with c.refused("already-revoked"):
        c.revoke_member("HospitalA/silo", reason="again")
    (record,) = c.all(Revocation)
    assert (record.msp, record.serial) == ("HospitalA", identity("HospitalA/silo").certificate.serial)
    assert (record.reason, record.revoked_by) == ("the key was lost", "HospitalA/operator")


def test_an_operator_that_revokes_its_own_certificate_has_acted_for_the_last_time() -> None:
    c = Consortium(silos=1)
    c.revoke_member("HospitalA/operator")
    with c.refused("certificate-revoked"):
        c.propose_run()
