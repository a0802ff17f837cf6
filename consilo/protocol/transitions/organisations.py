"""Transitions of organisations: who they are, and which of their certificates no longer count. Pure; no I/O."""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.authority import current_organisation, is_revoked
from consilo.protocol.bodies import RegisterOrganisation, RevokeMember
from consilo.protocol.call import Call
from consilo.protocol.certificates import CertificateError, check_roots
from consilo.protocol.records import Organisation, Revocation
from consilo.protocol.refusals import InvalidInput, Refusal
from consilo.protocol.transaction import certificate_der


def register_organisation(call: Call[RegisterOrganisation]) -> None:
    """Record the next version of the sender's organisation."""
    body = call.body
    current = current_organisation(call.draft, call.msp)
    version = 0 if current is None else current.version
    if current is None and not call.vouched:
        raise Refusal("registration-not-vouched", f"the ledger does not vouch that {call.member} speaks for {call.msp}")
    if body.version <= version:
        raise Refusal("registration-exists", f"version {body.version} of {call.msp} is registered already")
    if body.version != version + 1:
        raise Refusal("registration-version", f"the next version of {call.msp} is {version + 1}, not {body.version}")
    try:  # nobody could register better ones under roots that nobody can read
        check_roots([certificate_der(root) for root in body.roots])
    except (CertificateError, InvalidInput) as error:
        raise Refusal(error.code, error.message) from None
    record = Organisation(
        msp=call.msp,
        version=body.version,
        roots=body.roots,
        gateway=body.gateway,
        stores=body.stores,
        registered_at=call.time if current is None else max(call.time, current.registered_at),
    )
    call.draft.put(keys.organisation(call.msp, body.version), record)


def revoke_member(call: Call[RevokeMember]) -> None:
    """Record that a certificate of the sender's organisation no longer counts."""
    body = call.body
    if is_revoked(call.draft, call.msp, body.serial):
        raise Refusal("already-revoked", f"{call.msp} has revoked {body.serial} before")
    record = Revocation(
        msp=call.msp, serial=body.serial, reason=body.reason, revoked_by=call.member, revoked_at=call.time
    )
    call.draft.put(keys.revocation(call.msp, body.serial), record)
