"""What somebody on the way might make of a signed transaction. Pure."""

from __future__ import annotations

from consilo.protocol.transaction import Payload, Transaction, envelope
from tests.simulated_requests import plain


def tampered(transaction: Transaction, **fields: object) -> Transaction:
    """The transaction with other fields in its body, under the old signature."""
    payload = transaction.payload
    body = {**payload.body, **plain(fields)}
    changed = Payload(ledger=payload.ledger, member=payload.member, type=payload.type, body=body)
    # Not `model_copy`, which would keep what the transaction has computed of its old payload.
    return Transaction(payload=changed, certificates=transaction.certificates, signature=transaction.signature)


def with_certificates(transaction: Transaction, *certificates: bytes) -> Transaction:
    """The transaction with other certificates (DER), under the old signature."""
    return envelope(transaction.payload, certificates, transaction.signature_bytes())
