"""Scenarios of the transitions: a point of departure each, and all that can be wrong, in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from consilo.protocol.bodies import GlobalArtifact
from tests.simulated_requests import artifact
from tests.simulators import OUTSIDER, Consortium

NO_DIGEST = "0" * 64
UNAPPROVING = "HospitalE"
"""The organisation that does not approve in these scenarios; the outsider is not named at all."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong: something that happens before (in order of `rank`), or fields of the request."""

    code: str
    before: Callable[[Consortium], object] | None = None
    fields: dict[str, Any] = dataclass_field(default_factory=dict)
    member: str = ""
    rank: int = 0


def _round_open(c: Consortium) -> None:
    # Of the approving silos A to D three are asked.
    verifiers = c.layout.verifiers
    c.proposed(cohort={"kind": "count", "count": 3}, threshold=2, minimum=2, approvals_required=4, verifiers=verifiers)
    for msp in c.layout.organisations[1:4]:
        c.approve_run(msp)
    c.publish_global()


def _round_closed(c: Consortium) -> None:
    _round_open(c)
    c.close()


def _global_made(c: Consortium) -> None:
    _round_closed(c)
    c.publish_global()


def _proposed(c: Consortium) -> None:
    c.proposed()


def _supersede(c: Consortium) -> None:
    c.pass_deadline()
    c.reopen_round()


def _reject(c: Consortium) -> None:
    c.reject_run("HospitalC")


def _publish_first(c: Consortium) -> None:
    c.publish_update(c.attempt.opening.cohort[0], num_samples=3)


def _finish(c: Consortium) -> None:
    c.continue_honestly()


_RUN_UNKNOWN = Fault("run-unknown", fields={"run": "another"})
_STOPPED = Fault("run-stopped", lambda c: c.stop_run("HospitalA"), rank=9)


def _party(role: str) -> tuple[Fault, Fault]:
    return (
        Fault("organisation-not-named", member=f"{OUTSIDER}/{role}"),
        Fault("organisation-not-approved", member=f"{UNAPPROVING}/{role}"),
    )


_NOT_OPEN = Fault("attempt-not-open", fields={"attempt": 9})
_SUPERSEDED = Fault("attempt-superseded", _supersede, {"attempt": 1}, rank=5)
_UNKNOWN_GLOBAL = Fault("global-unknown", fields={"sha256": NO_DIGEST})

SCENARIOS: dict[str, tuple[Callable[[Consortium], None], list[Fault]]] = {
    "propose_run": (
        lambda c: None,
        [
            Fault("rules-unknown", fields={"specification": {"rules": 2}}),
            Fault("organisation-not-named", member=f"{OUTSIDER}/operator"),
            Fault("artifact-mismatch", fields={"specification": {"initial": artifact("HospitalB", "initial")}}),
            Fault("run-exists", lambda c: c.propose_run(rounds=9)),
        ],
    ),
    "approve_run": (
        _proposed,
        [
            _RUN_UNKNOWN,
            Fault("organisation-not-named", member=f"{OUTSIDER}/operator"),
            Fault("already-voted", lambda c: c.reject_run("HospitalB")),
            _STOPPED,
            Fault("run-rejected", _reject, rank=1),
            Fault("specification-mismatch", fields={"specification": NO_DIGEST}),
        ],
    ),
    "reject_run": (
        _proposed,
        [
            _RUN_UNKNOWN,
            Fault("organisation-not-named", member=f"{OUTSIDER}/operator"),
            Fault("already-voted", lambda c: c.approve_run("HospitalB")),
            _STOPPED,
            Fault("run-rejected", _reject, rank=1),
        ],
    ),
    "publish_update": (
        _round_open,
        [
            _RUN_UNKNOWN,
            _STOPPED,
            *_party("silo"),
            _NOT_OPEN,
            _SUPERSEDED,
            Fault("not-in-cohort", member="the one that was not asked"),
            Fault("round-closed", lambda c: c.close(), rank=1),
            Fault("already-published", _publish_first),
            Fault("base-mismatch", fields={"base": NO_DIGEST}),
            Fault("artifact-mismatch", fields={"artifact": artifact("HospitalX", "elsewhere")}),
            Fault("too-many-samples", fields={"num_samples": 1001}),
        ],
    ),
    "close_round": (
        _round_open,  # nobody has published: too early
        [
            _RUN_UNKNOWN,
            _STOPPED,
            *_party("aggregator"),
            _NOT_OPEN,
            _SUPERSEDED,
            Fault("round-closed", lambda c: c.close(), rank=1),
            Fault("too-early"),
            Fault("updates-changed", fields={"updates": NO_DIGEST}),
        ],
    ),
    "reopen_round": (
        _round_closed,
        [
            _RUN_UNKNOWN,
            _STOPPED,
            *_party("aggregator"),
            _NOT_OPEN,
            _SUPERSEDED,
            Fault("global-exists", lambda c: c.publish_global()),
            Fault("role-not-allowed", member="HospitalA/silo"),
            Fault("exclusion-unknown", fields={"excluded": [{"member": "HospitalX/silo", "reason": "malformed"}]}),
        ],
    ),
    "publish_global": (
        _round_closed,
        [
            _RUN_UNKNOWN,
            _STOPPED,
            *_party("aggregator"),
            Fault("global-exists", lambda c: c.publish_global("HospitalB/aggregator")),
            _NOT_OPEN,
            _SUPERSEDED,
            Fault("selection-mismatch", fields={"strategy": {"name": "other", "version": 1, "parameters": {}}}),
            Fault("artifact-mismatch", fields={"artifact": artifact("HospitalX", "elsewhere")}),
        ],
    ),
    "attest_global": (
        _global_made,
        [
            _RUN_UNKNOWN,
            *_party("verifier"),
            _UNKNOWN_GLOBAL,
            Fault("already-attested", lambda c: c.attest_global("HospitalA/verifier", detail="before")),
            Fault("global-annulled", lambda c: c.attest_global("HospitalB/verifier", "mismatch"), rank=1),
        ],
    ),
    "report_evaluation": (
        _global_made,
        [
            _RUN_UNKNOWN,
            *_party("silo"),
            _UNKNOWN_GLOBAL,
            Fault("already-evaluated", lambda c: c.report_evaluation("HospitalA/silo", num_samples=77)),
        ],
    ),
    "record_access": (
        _global_made,
        [
            _RUN_UNKNOWN,
            Fault(
                "artifact-unknown",
                fields={"artifacts": [GlobalArtifact(kind="global", round=1, attempt=1, sha256=NO_DIGEST)]},
            ),
            Fault("access-not-allowed", member=f"{OUTSIDER}/auditor"),
        ],
    ),
    "stop_run": (
        _round_open,
        [
            _RUN_UNKNOWN,
            Fault("organisation-not-named", member=f"{OUTSIDER}/operator"),
            _STOPPED,
            Fault("run-finished", _finish, rank=1),
            Fault("already-stopped", lambda c: c.stop_run("HospitalB", reason="before")),
        ],
    ),
}

IMPOSSIBLE = {
    ("approve_run", "already-voted", "run-rejected"),  # the same rejection brings both
    ("publish_update", "run-stopped", "round-closed"),
    ("reopen_round", "attempt-superseded", "global-exists"),
    ("publish_global", "global-exists", "attempt-not-open"),
    ("publish_global", "global-exists", "attempt-superseded"),
    ("stop_run", "run-stopped", "run-finished"),
}
"""Two faults that cannot both be brought about as they are written here."""

MEMBERS = {
    "propose_run": "HospitalA/operator",
    "approve_run": "HospitalB/operator",
    "reject_run": "HospitalB/operator",
    "stop_run": "HospitalB/operator",
    "attest_global": "HospitalA/verifier",
}
