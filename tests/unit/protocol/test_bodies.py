"""Bodies: what a member may put its name to."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.protocol.transitions.table import TRANSITIONS
from tests.simulated_requests import artifact
from tests.simulators import Consortium

DIGEST = "0" * 64

MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("publish_update", {"num_samples": 0}),
    ("publish_update", {"num_samples": -1}),
    ("publish_update", {"num_samples": "10"}),
    ("publish_update", {"num_samples": True}),
    ("publish_update", {"num_samples": 2**29}),
    ("publish_update", {"metrics": {"accuracy": "nan"}}),
    ("publish_update", {"metrics": {"accuracy": "inf"}}),
    ("publish_update", {"metrics": {"accuracy": "1e1"}}),
    ("publish_update", {"metrics": {"accuracy": 1}}),
    ("publish_update", {"metrics": {"": "0.5"}}),
    ("publish_update", {"metrics": {f"m{index}": "0.5" for index in range(65)}}),
    ("publish_update", {"base": DIGEST[:-1]}),
    ("publish_update", {"base": "A" * 64}),
    ("publish_update", {"round": -1}),
    ("publish_update", {"attempt": 10_000}),
    ("publish_update", {"artifact": artifact("HospitalA", "../../etc/passwd")}),
    ("publish_update", {"artifact": artifact("HospitalA", "a//b")}),
    ("publish_update", {"artifact": artifact("HospitalA", "a", size_bytes=0)}),
    ("publish_update", {"artifact": artifact("HospitalA", "a", url="http://evil.example")}),
    ("publish_update", {"member": "HospitalB/silo"}),
    ("publish_update", {"run": "Trial"}),
    ("publish_update", {"run": "trial\n"}),
    ("publish_update", {"run": "trial/../other"}),
    ("publish_update", {"run": "triаl"}),
    ("close_round", {"updates": None}),
    ("close_round", {"selected": []}),
    ("reopen_round", {"excluded": [{"member": "HospitalA/silo", "reason": "dislike"}]}),
    ("reopen_round", {"excluded": [{"member": "HospitalA/silo", "reason": "malformed"}] * 2}),
    (
        "reopen_round",
        {"excluded": [{"member": f"Hospital{letter}/silo", "reason": "malformed"} for letter in "BA"]},
    ),
    ("publish_global", {"round": 10_000_000}),
    ("publish_global", {"inputs": [{"member": "HospitalA/silo"}]}),
    ("publish_global", {"strategy": {"name": "fedavg", "version": 1}}),
    ("attest_global", {"round": 0}),
    ("attest_global", {"verdict": "maybe"}),
    ("attest_global", {"detail": "x" * 1001}),
    ("report_evaluation", {"num_samples": 0}),
    ("report_evaluation", {"metrics": {"accuracy": "NaN"}}),
    ("record_access", {"artifacts": []}),
    ("record_access", {"artifacts": [{"kind": "model", "round": 0, "attempt": 0, "sha256": DIGEST}]}),
    ("record_access", {"artifacts": [{"kind": "update", "round": 0, "attempt": 0, "sha256": DIGEST}]}),
    (
        "record_access",
        {"artifacts": [{"kind": "global", "round": 0, "attempt": 0, "sha256": DIGEST, "member": "HospitalA/silo"}]},
    ),
    ("record_access", {"artifacts": [{"kind": "global", "round": 0, "attempt": 0, "sha256": DIGEST}] * 1001}),
    ("approve_run", {"specification": {}}),
    ("reject_run", {"reason": None}),
    ("stop_run", {"reason": "x" * 1001}),
    ("revoke_member", {"serial": "00ff"}),
    ("revoke_member", {"serial": "0xff"}),
    ("revoke_member", {"serial": "FF"}),
]


FIRST = {
    "approve_run": "HospitalA",
    "reject_run": "HospitalA",
    "stop_run": "HospitalA",
    "revoke_member": "HospitalB/silo",
    "record_access": "HospitalA/silo",
}
"""The argument of those requests that have no default for it."""


@pytest.mark.parametrize(("kind", "fields"), MALFORMED)
def test_what_a_body_does_not_allow_is_malformed(kind: str, fields: dict[str, Any]) -> None:
    c = Consortium(silos=2, verifiers=2)
    c.running()
    good = getattr(c.make, kind)(*([FIRST[kind]] if kind in FIRST else []))
    with c.refused("malformed"):
        c.send(c.make.sign(good.payload.member, kind, {**good.payload.body, **fields}))


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_no_body_takes_an_unknown_field_or_does_without_one_of_its_own(kind: str) -> None:
    c = Consortium(silos=1)
    fields = list(TRANSITIONS[kind].body.model_fields)
    with c.refused("malformed"):
        c.send(c.make.sign("HospitalA/operator", kind, {}))
    with c.refused("malformed"):
        c.send(c.make.sign("HospitalA/operator", kind, dict.fromkeys([*fields, "unknown"])))


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_the_body_of_every_transition_is_strict_and_frozen(kind: str) -> None:
    config = TRANSITIONS[kind].body.model_config
    assert (config["strict"], config["frozen"], config["extra"]) == (True, True, "forbid")
