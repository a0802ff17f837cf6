"""Ways to be refused for who one is, and for what a run as a whole does not allow."""

from __future__ import annotations

from functools import partial

from consilo.protocol.transaction import Transaction
from tests.forgeries import tampered, with_certificates
from tests.simulated_members import (
    expired_identity,
    identity,
    impostor_identity,
    nameless_certificate,
)
from tests.simulated_requests import artifact
from tests.simulators import OUTSIDER, Consortium
from tests.unit.protocol.ways import Way, register

SILO_A, SILO_B, SILO_C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"

WAYS: dict[str, Way] = {}
way = partial(register, WAYS)


@way("malformed")
def _(c: Consortium) -> Transaction:
    return c.make.sign("HospitalA/operator", "stop_run", {"run": "trial"})


@way("rules-unknown")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(rules=2)


@way("wrong-ledger")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.sign(SILO_A, "publish_update", c.make.publish_update(SILO_A).payload.body, ledger="another")


@way("organisation-unknown")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run("HospitalZ/operator", initial=artifact("HospitalA", "initial"))


@way("certificate-malformed")
def _(c: Consortium) -> Transaction:
    return with_certificates(c.make.propose_run(), b"0\x82")


@way("certificate-untrusted")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(by=impostor_identity("HospitalA/operator"))


@way("certificate-expired")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(by=expired_identity("HospitalA/operator"))


@way("certificate-role-missing")
def _(c: Consortium) -> Transaction:
    return with_certificates(c.make.propose_run(), nameless_certificate("HospitalA"))


@way("certificate-revoked")
def _(c: Consortium) -> Transaction:
    c.running()
    c.revoke_member(SILO_A)
    return c.make.publish_update(SILO_A)


@way("signature-invalid")
def _(c: Consortium) -> Transaction:
    c.running()
    return tampered(c.make.publish_update(SILO_A), num_samples=999)


@way("member-mismatch")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(by=identity("HospitalA/operator-2"))


@way("role-not-allowed")
def _(c: Consortium) -> Transaction:
    return c.make.propose_run(SILO_A)


@way("registration-not-vouched")
def _(c: Consortium) -> Transaction:
    return c.make.register_organisation("HospitalZ")


@way("registration-version")
def _(c: Consortium) -> Transaction:
    return c.make.register_organisation("HospitalA", version=999)


@way("registration-exists")
def _(c: Consortium) -> Transaction:
    return c.make.register_organisation("HospitalA", version=1, stores=[])


@way("already-revoked")
def _(c: Consortium) -> Transaction:
    c.revoke_member(SILO_A)
    return c.make.revoke_member(SILO_A, reason="another reason")


@way("run-exists")
def _(c: Consortium) -> Transaction:
    c.proposed()
    return c.make.propose_run(rounds=3)


@way("run-unknown")
def _(c: Consortium) -> Transaction:
    return c.make.publish_global()


@way("organisation-not-named")
def _(c: Consortium) -> Transaction:
    c.running()
    return c.make.publish_update(f"{OUTSIDER}/silo")


@way("specification-mismatch")
def _(c: Consortium) -> Transaction:
    c.proposed()
    return c.make.approve_run("HospitalB", specification="0" * 64)


@way("already-voted")
def _(c: Consortium) -> Transaction:
    c.proposed(approvals_required=1)
    c.reject_run("HospitalB")
    return c.make.approve_run("HospitalB")


@way("run-not-active")
def _(c: Consortium) -> Transaction:
    c.proposed()
    return c.make.publish_global()


@way("run-rejected")
def _(c: Consortium) -> Transaction:
    c.proposed()
    c.reject_run("HospitalB")
    return c.make.publish_global()


@way("run-stopped")
def _(c: Consortium) -> Transaction:
    c.running()
    c.stop_run("HospitalA")
    return c.make.publish_update()


@way("run-finished")
def _(c: Consortium) -> Transaction:
    c.running(rounds=1)
    c.complete_round()
    return c.make.stop_run("HospitalA")


@way("already-stopped")
def _(c: Consortium) -> Transaction:
    c.running()
    c.stop_run("HospitalB")
    return c.make.stop_run("HospitalB", reason="another reason")


@way("organisation-not-approved")
def _(c: Consortium) -> Transaction:
    c.proposed(approvals_required=1)
    c.publish_global()
    return c.make.publish_update(SILO_C)
