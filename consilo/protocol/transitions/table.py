"""The table of transitions: every transaction, who may send it, what it does, and why it may be refused. Pure; no I/O.

The state machine is driven by this table, and the protocol reference is made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from consilo.protocol import bodies
from consilo.protocol.call import Call
from consilo.protocol.model import Record
from consilo.protocol.transitions import organisations, results, rounds, runs
from consilo.protocol.values import Role


@dataclass(frozen=True)
class Transition:
    """One kind of transaction.

    Attributes:
        name: `type` of the payload.
        body: model of the payload's body.
        roles: roles of certificates that may send it.
        does: what it does, in a sentence.
        refusals: codes with which it may be refused, beyond `COMMON_REFUSALS`, in the order in which they are checked.
        effects: what else may become true; told in the event.
        apply: writes to the call's draft, or raises a `Refusal`.
    """

    name: str
    body: type[Record]
    roles: tuple[Role, ...]
    does: str
    refusals: tuple[str, ...]
    effects: tuple[str, ...]
    apply: Callable[[Call[Any]], None]


COMMON_REFUSALS: Final = (
    "malformed",
    "too-large",
    "wrong-ledger",
    "organisation-unknown",
    "certificate-malformed",
    "certificate-untrusted",
    "certificate-expired",
    "certificate-role-missing",
    "signature-invalid",
    "member-mismatch",
    "certificate-revoked",
    "role-not-allowed",
)
"""Codes with which every transaction may be refused: its form, and who acts."""

_RUNNING = ("run-unknown", "run-stopped", "run-rejected", "run-not-active")
_PARTY = ("organisation-not-named", "organisation-not-approved")
_VOTE = ("run-unknown", "organisation-not-named", "already-voted", "run-stopped", "run-rejected")
_CURRENT = ("attempt-not-open", "attempt-superseded")
_PARTICIPANTS: tuple[Role, ...] = ("aggregator", "silo", "operator")
_ALL: tuple[Role, ...] = ("operator", "aggregator", "silo", "verifier", "viewer", "gateway")

_ROWS: tuple[Transition, ...] = (
    Transition(
        "register_organisation",
        bodies.RegisterOrganisation,
        ("operator",),
        "Records the next version of the sender's organisation: its CA roots, its gateway's URL, its stores' hosts.",
        ("registration-not-vouched", "registration-exists", "registration-version"),
        (),
        organisations.register_organisation,
    ),
    Transition(
        "revoke_member",
        bodies.RevokeMember,
        ("operator",),
        "Records that a certificate of the sender's organisation no longer counts.",
        ("already-revoked",),
        (),
        organisations.revoke_member,
    ),
    Transition(
        "propose_run",
        bodies.ProposeRun,
        ("operator",),
        "Records a run's specification; counts as the approval of the proposer's organisation.",
        ("rules-unknown", "organisation-not-named", "artifact-mismatch", "run-exists"),
        ("run-activated",),
        runs.propose_run,
    ),
    Transition(
        "approve_run",
        bodies.ApproveRun,
        ("operator",),
        "Records an organisation's approval, once. The run is active when `approvals_required` have come, among them "
        "those of an aggregator, of `minimum` silos and of the verifiers that attestations need; a later approval lets "
        "the organisation's silos in from the next attempt on.",
        (*_VOTE, "specification-mismatch"),
        ("run-activated",),
        runs.approve_run,
    ),
    Transition(
        "reject_run",
        bodies.RejectRun,
        ("operator",),
        "Records an organisation's rejection, once. The run is rejected when those that are left are not enough "
        "for it to become active.",
        _VOTE,
        ("run-rejected",),
        runs.reject_run,
    ),
    Transition(
        "publish_global",
        bodies.PublishGlobal,
        ("aggregator",),
        "Records a global model. Global 0 is the specification's initial artifact; global r + 1 has exactly the inputs "
        "and weights of a recorded selection of round r. Opens the next round (at once, or when "
        "`attestations_required` have come), or finishes the run.",
        (
            *_RUNNING,
            *_PARTY,
            "global-exists",
            "initial-mismatch",
            *_CURRENT,
            "round-not-closed",
            "selection-mismatch",
            "artifact-mismatch",
            "attempts-exhausted",
        ),
        ("global-published", "round-opened", "run-finished"),
        rounds.publish_global,
    ),
    Transition(
        "publish_update",
        bodies.PublishUpdate,
        ("silo",),
        "Records the metadata of a silo's local model, once per attempt; one that carries over counts as that one.",
        (
            *_RUNNING,
            *_PARTY,
            *_CURRENT,
            "not-in-cohort",
            "round-closed",
            "already-published",
            "base-mismatch",
            "artifact-mismatch",
            "too-many-samples",
        ),
        (),
        rounds.publish_update,
    ),
    Transition(
        "close_round",
        bodies.CloseRound,
        _PARTICIPANTS,
        "Computes and records the selection and its weights. Admitted when all of the cohort have published; or "
        "`threshold` have and the grace since then is over; or the deadline is over; and the policy selects `minimum`.",
        (
            *_RUNNING,
            *_PARTY,
            *_CURRENT,
            "round-closed",
            "too-early",
            "selection-too-small",
            "updates-changed",
        ),
        ("round-closed",),
        rounds.close_round,
    ),
    Transition(
        "reopen_round",
        bodies.ReopenRound,
        _PARTICIPANTS,
        "Opens the next attempt at a round. An aggregator may exclude selected updates that it cannot use; their "
        "owners may replace them, the others carry over, but for those that the policy can never select. Without "
        "exclusions: once the deadline is over and the round cannot be closed, or the time to publish a closed round's "
        "global is over.",
        (
            *_RUNNING,
            *_PARTY,
            *_CURRENT,
            "global-exists",
            "role-not-allowed",
            "round-not-closed",
            "exclusion-unknown",
            "nothing-to-reopen",
            "attempts-exhausted",
        ),
        ("round-opened",),
        rounds.reopen_round,
    ),
    Transition(
        "attest_global",
        bodies.AttestGlobal,
        ("verifier",),
        "Records a verifier's word on a global model, once. `mismatches_to_annul` of them annul it with all that "
        "descends from it, and the round before it is opened again with its updates; `attestations_required` let the "
        "next round open.",
        ("run-unknown", *_PARTY, "global-unknown", "already-attested", "global-annulled", "attempts-exhausted"),
        ("global-annulled", "round-opened", "run-finished"),
        results.attest_global,
    ),
    Transition(
        "report_evaluation",
        bodies.ReportEvaluation,
        ("silo",),
        "Records how a global model does on the silo's own validation data, once per global.",
        ("run-unknown", *_PARTY, "global-unknown", "already-evaluated"),
        (),
        results.report_evaluation,
    ),
    Transition(
        "record_access",
        bodies.RecordAccess,
        _ALL,
        "Records that the sender is going to read artifacts, once per artifact and reader. The owner's gateway signs a "
        "URL only when it sees this record, or a selection that makes the reader the aggregator of the update.",
        ("run-unknown", "artifact-unknown", "access-not-allowed"),
        (),
        results.record_access,
    ),
    Transition(
        "stop_run",
        bodies.StopRun,
        ("operator",),
        "Records that an organisation wants the run to end. It ends at the proposer's word, or at that of "
        "`approvals_required` organisations. What exists can still be read, attested and evaluated.",
        ("run-unknown", "organisation-not-named", "run-stopped", "run-finished", "already-stopped"),
        ("run-stopped",),
        runs.stop_run,
    ),
)

TRANSITIONS: Final[dict[str, Transition]] = {row.name: row for row in _ROWS}
"""All transitions by name."""
