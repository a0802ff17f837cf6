"""Who acts: forgeries of every kind end at the roots on the ledger."""

from __future__ import annotations

import base64

import pytest

from consilo.protocol.authority import current_organisation, is_revoked
from consilo.protocol.certificates import P256_ORDER
from consilo.protocol.records import Organisation
from consilo.protocol.transaction import envelope
from tests.forgeries import tampered, with_certificates
from tests.simulated_members import authority, expired_identity, identity, impostor_identity, nameless_certificate
from tests.simulated_requests import signed
from tests.simulators import OUTSIDER, Consortium

A, B = "HospitalA/silo", "HospitalB/silo"


def _consortium() -> Consortium:
    c = Consortium(silos=2)
    c.running()
    return c


def test_nobody_signs_for_a_member_of_another_organisation() -> None:
    c = _consortium()
    with c.refused("certificate-untrusted"):
        c.publish_update(A, by=identity(B))


def test_nobody_signs_for_another_member_of_the_own_organisation() -> None:
    c = _consortium()
    with c.refused("member-mismatch"):
        c.publish_update(A, by=identity("HospitalA/silo-2"))


def test_another_ca_of_the_same_name_is_not_the_organisation_s() -> None:
    c = _consortium()
    with c.refused("certificate-untrusted"):
        c.publish_update(A, by=impostor_identity(A))


def test_an_organisation_cannot_name_a_member_of_another() -> None:
    c = _consortium()
    rogue = authority(OUTSIDER).issue("silo", "silo", now=c.clock)
    with c.refused("certificate-untrusted"):
        c.publish_update(A, by=rogue)


@pytest.mark.parametrize("field", ["num_samples", "base", "metrics", "run"])
def test_whatever_is_altered_on_the_way_breaks_the_signature(field: str) -> None:
    c = _consortium()
    values = {"num_samples": 9, "base": "0" * 64, "metrics": {"accuracy": "1.0"}, "run": "another"}
    with c.refused("signature-invalid"):
        c.send(tampered(c.make.publish_update(A), **{field: values[field]}))


def test_a_signature_of_another_payload_of_the_same_member_does_not_serve() -> None:
    c = _consortium()
    first, second = c.make.publish_update(A), c.make.publish_update(A, num_samples=11)
    with c.refused("signature-invalid"):
        c.send(first.model_copy(update={"signature": second.signature}))


def test_a_signature_without_the_prefix_does_not_serve() -> None:
    c = _consortium()
    payload = c.make.publish_update(A).payload
    with c.refused("signature-invalid"):
        c.send(envelope(payload, identity(A).certificates, identity(A).sign(payload.encode())))


def test_the_mirrored_signature_does_not_serve() -> None:
    c = _consortium()
    transaction = c.make.publish_update(A)
    r, s = transaction.signature_bytes()[:32], int.from_bytes(transaction.signature_bytes()[32:], "big")
    mirrored = r + (P256_ORDER - s).to_bytes(32, "big")
    with c.refused("signature-invalid"):
        c.send(envelope(transaction.payload, identity(A).certificates, mirrored))


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\xff" * 64, b"\0" * 32 + b"\1" * 32])
def test_a_made_up_signature_does_not_serve(signature: bytes) -> None:
    c = _consortium()
    with c.refused("signature-invalid"):
        c.send(envelope(c.make.publish_update(A).payload, identity(A).certificates, signature))


def test_what_was_signed_for_another_ledger_does_not_serve_here() -> None:
    c, other = _consortium(), Consortium(silos=2, ledger="other")
    other.running()
    with c.refused("wrong-ledger"):
        c.send(other.make.publish_update(A))


def test_a_certificate_without_member_is_nobody_s() -> None:
    c = _consortium()
    with c.refused("certificate-role-missing"):
        c.send(with_certificates(c.make.publish_update(A), nameless_certificate("HospitalA")))


def test_a_certificate_needs_nothing_more_than_its_path_to_the_root() -> None:
    c = _consortium()
    transaction = c.make.publish_update(A)
    with c.refused("certificate-untrusted"):
        c.send(with_certificates(transaction, *identity(A).certificates, authority("HospitalA").roots[0]))


def test_an_expired_certificate_ends_what_its_member_may_do() -> None:
    c = _consortium()
    with c.refused("certificate-expired"):
        c.publish_update(A, by=expired_identity(A))
    late = c.make.publish_update(A)
    c.advance(identity(A).certificate.not_after + 1 - c.clock)
    with c.refused("certificate-expired"):
        c.send(late)


def test_a_revoked_certificate_ends_and_its_renewal_goes_on() -> None:
    c = _consortium()
    late = c.make.publish_update(A)
    c.revoke_member(A)
    assert is_revoked(c.state, "HospitalA", identity(A).certificate.serial)
    with c.refused("certificate-revoked"):
        c.send(late)
    c.make.identities[A] = identity(A, "silo", "renewed")
    c.publish_update(A)


def test_only_an_organisation_s_own_operator_revokes_its_certificates() -> None:
    c = _consortium()
    serial = identity(A).certificate.serial
    c.make.sign("HospitalB/operator", "revoke_member", {"serial": serial, "reason": ""})
    c.send(c.make.sign("HospitalB/operator", "revoke_member", {"serial": serial, "reason": ""}))
    assert not is_revoked(c.state, "HospitalA", serial)
    with c.refused("role-not-allowed"):
        c.send(c.make.sign(B, "revoke_member", {"serial": serial, "reason": ""}))
    c.publish_update(A)


def test_a_serial_number_that_no_certificate_has_is_refused_before_it_gives_false_comfort() -> None:
    c = _consortium()
    with c.refused("malformed"):
        c.revoke_member(A, serial="0" + identity(A).certificate.serial)


def test_the_current_registration_is_the_one_with_the_highest_version() -> None:
    c = Consortium(silos=1)
    assert current_organisation(c.state, "HospitalZ") is None
    c.register_organisation("HospitalA", stores=["second.example"])
    c.register_organisation("HospitalA", stores=["third.example"])
    current = current_organisation(c.state, "HospitalA")
    assert current is not None
    assert (current.version, current.stores) == (3, ("third.example",))


def test_the_roots_that_count_are_the_current_ones() -> None:
    c = _consortium()
    other = authority("HospitalA", "impostor")
    roots = [base64.b64encode(root).decode() for root in other.roots]
    c.register_organisation("HospitalA", roots=roots)
    with c.refused("certificate-untrusted"):
        c.publish_update(A)
    c.publish_update(A, by=impostor_identity(A))
    assert [record.version for record in c.all(Organisation) if record.msp == "HospitalA"] == [1, 2]


def test_a_lagging_ledger_admits_a_certificate_once_it_has_the_new_root() -> None:
    c = _consortium()
    roots = [base64.b64encode(authority("HospitalA", label).roots[0]).decode() for label in ("", "impostor")]
    early = c.make.publish_update(A, by=impostor_identity(A))
    with c.refused("certificate-untrusted"):
        c.send(early)
    c.register_organisation("HospitalA", roots=roots)
    c.send(early)


def test_a_registration_that_the_ledger_vouches_for_stands_on_the_roots_that_it_brings() -> None:
    c = Consortium(silos=1)
    with c.refused("certificate-untrusted"):
        c.register_organisation("HospitalZ", by=impostor_identity("HospitalZ/operator"), vouched=True)
    c.register_organisation("HospitalZ", vouched=True)
    c.propose_run("HospitalZ/operator", run="another", organisations=["HospitalA", "HospitalZ"])


def test_without_being_vouched_for_nobody_registers_an_organisation() -> None:
    c = Consortium(silos=1)
    transaction = c.make.register_organisation("HospitalZ")
    with c.refused("registration-not-vouched"):
        c.send(transaction)
    with c.refused("signature-invalid"):
        c.send(tampered(transaction, stores=["evil.example"]))
    with c.refused("member-mismatch"):
        c.send(signed(transaction.payload, identity("HospitalZ/operator-2")))
    c.send(transaction, vouched=True)
