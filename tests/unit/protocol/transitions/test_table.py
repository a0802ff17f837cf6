"""The table of transitions says what the transitions do: roles, refusals in the order of the checks, effects.

That no transition refuses with a code outside its row is asserted by the simulator on every refusal of every test.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from consilo.protocol.access import reference_of
from consilo.protocol.bodies import GlobalArtifact
from consilo.protocol.certificates import ROLES
from consilo.protocol.refusals import REFUSALS, Refusal
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import COMMON_REFUSALS, TRANSITIONS
from consilo.protocol.values import Role
from tests.simulated_members import identity
from tests.simulated_requests import plain
from tests.simulators import Consortium
from tests.unit.protocol.transitions.scenarios import IMPOSSIBLE, MEMBERS, NO_DIGEST, SCENARIOS, Fault


def _pairs() -> list[tuple[str, Fault, Fault]]:
    pairs = []
    for kind, (_, faults) in SCENARIOS.items():
        for first, second in itertools.combinations(faults, 2):
            clash = (set(first.fields) & set(second.fields)) - {"specification"} or (first.member and second.member)
            if not clash and (kind, first.code, second.code) not in IMPOSSIBLE:
                pairs.append((kind, first, second))
    return pairs


def _name(value: object) -> str:
    return value.code if isinstance(value, Fault) else str(value)


def _consortium() -> Consortium:
    return Consortium(silos=5, aggregators=5, verifiers=5)


def _request(c: Consortium, kind: str) -> tuple[str, dict[str, Any]]:
    """Sender and body of a request that is right as things stand."""
    match kind:
        case "publish_update":
            transaction = c.make.publish_update(c.attempt.opening.cohort[0], num_samples=5)
        case "reopen_round":
            transaction = c.make.reopen_round(excluded={c.attempt.opening.cohort[0]: "malformed"})
        case "record_access":
            transaction = c.make.record_access("HospitalA/auditor", reference_of(c.latest))
        case "approve_run" | "reject_run" | "stop_run":
            transaction = getattr(c.make, kind)("HospitalB")
        case _:
            transaction = getattr(c.make, kind)(*([MEMBERS[kind]] if kind in MEMBERS else []))
    return transaction.payload.member, dict(transaction.payload.body)


@pytest.mark.parametrize(("kind", "first", "second"), _pairs(), ids=_name)
def test_of_two_faults_the_one_that_stands_first_in_the_row_is_told(kind: str, first: Fault, second: Fault) -> None:
    row = TRANSITIONS[kind].refusals
    assert row.index(first.code) < row.index(second.code), "the scenario lists faults in the row's order"
    c = _consortium()
    SCENARIOS[kind][0](c)
    sender, body = _request(c, kind)
    asked = c.attempt.opening.cohort if kind == "publish_update" else ()
    for fault in sorted((first, second), key=lambda fault: fault.rank):
        if fault.before is not None:
            fault.before(c)
        for name, value in plain(fault.fields).items():
            body[name] = {**body[name], **value} if name == "specification" and isinstance(value, dict) else value
        sender = fault.member or sender
    if sender == "the one that was not asked":
        sender = next(silo for silo in c.layout.silos[:4] if silo not in asked)
    with c.refused(first.code):
        c.send(c.make.sign(sender, kind, body))


def test_every_row_has_known_codes_each_once_and_none_of_the_common_ones() -> None:
    for row in TRANSITIONS.values():
        assert set(row.refusals) <= set(REFUSALS)
        assert len(set(row.refusals)) == len(row.refusals)
        # Only who may exclude updates is also a question of the transition itself.
        assert set(row.refusals) & set(COMMON_REFUSALS) <= {"role-not-allowed"}


def test_every_row_says_what_it_does_in_sentences_and_names_known_roles() -> None:
    for name, row in TRANSITIONS.items():
        assert row.name == name
        assert row.does[0].isupper()
        assert row.does.endswith(".")
        assert row.roles
        assert set(row.roles) <= set(ROLES)


BODIES: dict[str, Callable[[Consortium], Transaction]] = {
    "register_organisation": lambda c: c.make.register_organisation("HospitalA"),
    "revoke_member": lambda c: c.make.revoke_member("HospitalA/silo"),
    "approve_run": lambda c: c.make.approve_run("HospitalA"),
    "reject_run": lambda c: c.make.reject_run("HospitalA"),
    "stop_run": lambda c: c.make.stop_run("HospitalA"),
    "record_access": lambda c: c.make.record_access(
        "HospitalA/any", GlobalArtifact(kind="global", round=0, attempt=0, sha256=NO_DIGEST)
    ),
}


@pytest.mark.parametrize("kind", TRANSITIONS)
@pytest.mark.parametrize("role", ROLES)
def test_only_the_roles_of_a_row_are_let_in(kind: str, role: Role) -> None:
    c = Consortium(silos=1)
    made = BODIES[kind](c) if kind in BODIES else getattr(c.make, kind)()
    body = made.payload.body
    transaction = c.make.sign("HospitalA/any", kind, body, by=identity("HospitalA/any", role, "by-role"))
    try:
        c.send(transaction)
    except Refusal as refusal:
        assert (refusal.code == "role-not-allowed") == (role not in TRANSITIONS[kind].roles)  # noqa: PT017
    else:
        assert role in TRANSITIONS[kind].roles
