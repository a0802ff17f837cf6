"""Every way in which the protocol says no, each with a stable code. Pure; no I/O.

A refusal that a record *causes by being there* is final: the same transaction will never be admitted. One caused by a
record that *is not there* is retryable: another peer may have it already, or it may still come.

The same transaction has the same payload, certificates and signature, comes by the same way (vouched for or not), and
under the same clock: what was signed or sent wrongly can be signed or sent again, and a certificate renewed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consilo.protocol.errors import ProtocolError


class InvalidInput(ProtocolError):
    """Bytes or values that the protocol's formats do not allow. `code` is `malformed` or `too-large`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class RefusalKind:
    """One row of the table of refusals."""

    code: str
    retryable: bool
    meaning: str


class Refusal(ProtocolError):
    """A transaction that the rules do not admit in this state.

    Attributes:
        code: a key of `REFUSALS`.
        message: what was wrong, in words.
        retryable: whether the same transaction may be admitted later.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = REFUSALS[code].retryable


def _table(*rows: tuple[str, bool, str]) -> dict[str, RefusalKind]:
    return {code: RefusalKind(code, retryable, meaning) for code, retryable, meaning in rows}


REFUSALS: Final[dict[str, RefusalKind]] = _table(
    # Form
    ("malformed", False, "The bytes are not JSON, or not what the transaction's body allows."),
    ("too-large", False, "The transaction is larger than the ledger reads."),
    ("rules-unknown", False, "The specification names a version of the rules that this ledger does not know."),
    # Who acts
    ("wrong-ledger", False, "The payload was signed for another ledger."),
    ("organisation-unknown", True, "The member's organisation is not registered on the ledger."),
    ("certificate-malformed", False, "A certificate cannot be read, or is not one of a member."),
    ("certificate-untrusted", True, "The chain does not lead to a root of the member's organisation."),
    ("certificate-expired", False, "A certificate of the chain is not valid at the transaction's time."),
    ("certificate-role-missing", False, "The certificate names no member and role."),
    ("certificate-revoked", False, "A certificate of the chain was revoked by its organisation."),
    ("signature-invalid", False, "The signature is not the member's over this payload."),
    ("member-mismatch", False, "The payload names another member than the certificate."),
    ("role-not-allowed", False, "The certificate's role may not make this transaction."),
    # Organisations
    ("registration-not-vouched", False, "The ledger does not vouch that the sender speaks for the organisation."),
    ("registration-version", True, "The version is not the next one of this organisation."),
    ("registration-exists", False, "This version of the organisation was registered with other content."),
    ("already-revoked", False, "The certificate was revoked before."),
    # Runs
    ("run-exists", False, "The name belongs to another run."),
    ("run-unknown", True, "No run of this name was proposed."),
    ("organisation-not-named", False, "The run's specification does not name the organisation or member."),
    ("specification-mismatch", False, "The digest is not that of the run's specification."),
    ("already-voted", False, "The organisation has approved or rejected the run before."),
    ("run-not-active", True, "The run has not enough approvals yet."),
    ("run-rejected", False, "So many organisations rejected the run that it cannot become active."),
    ("run-stopped", False, "The run was stopped."),
    ("run-finished", True, "The run has made its last global model; only an annulment would open it again."),
    ("already-stopped", False, "The organisation has asked to stop the run before."),
    ("organisation-not-approved", True, "The member's organisation has not approved the run."),
    # Rounds
    ("attempt-not-open", True, "This attempt of this round has not been opened."),
    ("attempt-superseded", False, "A later attempt of the round, or an annulment, has taken this attempt's place."),
    ("not-in-cohort", False, "The silo was not asked to train in this attempt."),
    ("round-closed", False, "The round is closed: its selection is recorded."),
    ("already-published", False, "The member has published something else here, or its update carries over."),
    ("base-mismatch", False, "The update was not trained on this round's global model."),
    ("artifact-mismatch", False, "The artifact's organisation or size is not what the specification demands."),
    ("too-many-samples", False, "More samples than the specification allows the silo."),
    ("updates-changed", True, "The set of updates is not the one that the sender saw."),
    ("too-early", True, "Not enough updates yet, or the grace or deadline is not over."),
    ("selection-too-small", True, "The policy selects fewer updates than the minimum."),
    ("round-not-closed", True, "No selection is recorded for this attempt."),
    ("exclusion-unknown", False, "The excluded member has no update in this attempt."),
    ("nothing-to-reopen", True, "No update is excluded, and the deadline is not over."),
    ("attempts-exhausted", False, "The round has had as many attempts as the records can number."),
    # Globals
    ("global-exists", False, "This attempt has made its global model."),
    ("global-unknown", True, "There is no such global model."),
    ("global-annulled", False, "Attestations have annulled this global model or one that it descends from."),
    ("initial-mismatch", False, "Global 0 is not the specification's initial artifact."),
    ("selection-mismatch", False, "Inputs, weights or strategy are not those recorded."),
    ("already-attested", False, "The verifier has attested this global model before."),
    ("already-evaluated", False, "The silo has reported its evaluation of this global model before."),
    # Access
    ("artifact-unknown", True, "There is no artifact of this digest in this place."),
    ("access-not-allowed", False, "The run's access policy does not name the reader."),
)  # fmt: skip
"""All codes of refusals, in the order in which the checks are usually met."""
