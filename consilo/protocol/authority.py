"""Who acts: signature, chain against the roots on the ledger, validity, revocation, role. Pure; no I/O."""

from __future__ import annotations

from consilo.protocol import keys
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.certificates import CertificateError, MemberCertificate, verify_chain, verify_signature
from consilo.protocol.model import Record
from consilo.protocol.records import Organisation
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import State, read
from consilo.protocol.transaction import Transaction, certificate_der
from consilo.protocol.values import organisation_of


def current_organisation(state: State, msp: str) -> Organisation | None:
    """The registration of an organisation that counts: the one with the highest version."""
    current: Organisation | None = None
    version = 1
    while (found := read(state, keys.organisation(msp, version), Organisation)) is not None:
        current, version = found, version + 1
    return current


def is_revoked(state: State, msp: str, serial: str) -> bool:
    """Whether an organisation has revoked the certificate with this serial number."""
    return state.get(keys.revocation(msp, serial)) is not None


def authenticate(
    state: State, transaction: Transaction, body: Record, *, time: int, vouched: bool
) -> MemberCertificate:
    """The certificate of the member that signed the transaction.

    The chain must lead to the organisation's current roots. A registration that the ledger itself vouches for is
    checked against the roots that it brings; so is an organisation's first, which the transition refuses otherwise.

    Raises:
        Refusal: `organisation-unknown`, `certificate-*`, `signature-invalid`, `member-mismatch`.
        InvalidInput: `malformed`, for what is not base64.
    """
    payload = transaction.payload
    msp = organisation_of(payload.member)
    organisation = current_organisation(state, msp)
    if isinstance(body, RegisterOrganisation) and (vouched or organisation is None):
        roots = body.roots
    elif organisation is not None:
        roots = organisation.roots
    else:
        raise Refusal("organisation-unknown", f"{msp} is not registered on this ledger")
    try:
        chain = verify_chain(transaction.certificates_der(), [certificate_der(root) for root in roots], time)
        verify_signature(chain.member, transaction.signature_bytes(), transaction.signed_bytes)
    except CertificateError as error:
        raise Refusal(error.code, error.message) from None
    if chain.member.member != payload.member:
        raise Refusal("member-mismatch", f"{payload.member} was signed for by {chain.member.member}")
    for serial in chain.serials:
        if is_revoked(state, msp, serial):
            raise Refusal("certificate-revoked", f"{msp} revoked the certificate with serial number {serial}")
    return chain.member
