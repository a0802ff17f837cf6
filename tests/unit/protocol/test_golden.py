"""Golden vectors: the canonical bytes of version 1 of the rules, which no change of code may change.

When one of these fails, records that are on ledgers would no longer be read or replayed as they were made. A wanted
change of form is a new schema or rules version. Until the first release, and when the simulation's defaults change (of
which the vectors are made), the file may be made anew, with a look at the difference:
`python -m tests.unit.protocol.test_golden > tests/unit/protocol/golden.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from consilo.protocol.access import reference_of
from consilo.protocol.bodies import GlobalArtifact
from consilo.protocol.canonical import canonical, digest
from consilo.protocol.cohort import draw_cohort
from consilo.protocol.records import GlobalReference, Update
from consilo.protocol.selection import updates_digest
from consilo.protocol.specification import Specification
from consilo.protocol.state import writes_digest
from consilo.protocol.tensors import TensorSchema, TensorSpec
from consilo.protocol.transaction import Payload, Transaction, signed_bytes
from consilo.protocol.values import format_number
from tests.simulators import Consortium

GOLDEN = Path(__file__).with_name("golden.json")

SCHEMA = TensorSchema(
    tensors=(
        TensorSpec(name="counts", dtype="I64", shape=()),
        TensorSpec(name="layer.0/bias", dtype="BF16", shape=(3,)),
        TensorSpec(name="layer.0/weight", dtype="F32", shape=(2, 3)),
    )
)
VALUES: list[Any] = [
    {"b": [1, -1, 0, True, None], "a": {"é": "ü\n\u2028", "A": '"\\/', "\U0001f600": "\x00\x7f"}},
    [],
    {},
    "räume",
    9007199254740991,
]
NUMBERS = [0.1, -0.0, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, 1 / 3]


def _payloads(c: Consortium) -> dict[str, Payload]:
    make = c.make
    reference = GlobalArtifact(kind="global", round=1, attempt=1, sha256=digest(b"global"))
    transactions: list[Transaction] = [
        make.register_organisation("HospitalA", version=1, roots=["AA=="]),
        make.revoke_member("HospitalA/silo", serial="1f"),
        make.propose_run(),
        make.approve_run("HospitalB"),
        make.reject_run("HospitalB"),
        make.publish_global(),
        make.publish_update("HospitalA/silo"),
        make.close_round(),
        make.reopen_round(None, {"HospitalA/silo": "not-finite"}),
        make.attest_global("HospitalC/verifier", "mismatch"),
        make.report_evaluation("HospitalA/silo"),
        make.record_access("HospitalA/auditor", reference),
        make.stop_run("HospitalA"),
    ]
    return {transaction.payload.type: transaction.payload for transaction in transactions}


def _story(c: Consortium) -> None:
    """Two rounds with an exclusion, a late silo, an annulment and an end."""
    c.proposed(attestations_required=1, cohort={"kind": "count", "count": 2}, threshold=2, minimum=1)
    c.approve_run("HospitalB")
    c.approve_run("HospitalC")
    c.publish_global()
    c.advance(1000)
    c.close()
    c.reopen_round(None, {c.attempt.opening.cohort[0]: "digest-mismatch"})
    c.pass_deadline()
    c.close_round()
    c.publish_global()
    c.attest_global(None, "mismatch")
    c.close()
    c.publish_global()
    c.attest_global()
    c.report_evaluation("HospitalB/silo")
    c.record_access("HospitalA/auditor", reference_of(c.latest))
    c.complete_round()


def vectors() -> dict[str, Any]:
    """All vectors as this code makes them."""
    c = Consortium(silos=3, ledger="golden")
    payloads = _payloads(c)
    specification = Specification.decode(
        canonical(c.make.specification(cohort={"kind": "count", "count": 2}, threshold=2))
    )
    silos = [f"Hospital{letter}/silo" for letter in "ABC"]
    base = GlobalReference(round=4, attempt=2, sha256=digest(b"base"))
    draws = {
        str(attempt): draw_cohort(
            specification, run="trial", base=base, attempt=attempt, eligible=silos, carried=carried
        )
        for attempt, carried in ((1, []), (2, []), (3, silos[2:]))
    }
    _story(c)
    run = {key: data for key, data in c.state.records.items() if key.startswith("run/")}
    first = c.all(Update)
    return {
        "canonical": [canonical(value).decode() for value in VALUES],
        "numbers": [format_number(number) for number in NUMBERS],
        "schema": {
            "record": SCHEMA.encode().decode(),
            "header": SCHEMA.header.hex(),
            "offsets": list(SCHEMA.offsets),
            "artifact_bytes": SCHEMA.artifact_bytes,
        },
        "payloads": {
            kind: {"canonical": payload.encode().decode(), "signed": digest(signed_bytes(payload))}
            for kind, payload in payloads.items()
        },
        "specification": specification.digest(),
        "cohorts": {attempt: list(drawn) for attempt, drawn in draws.items()},
        "updates_digest": {
            "none": updates_digest([]),
            "one": updates_digest(first[:1]),
            "all of a round": updates_digest([update for update in first if update.round == 0]),
        },
        "story": {"records": {key: digest(data) for key, data in sorted(run.items())}, "writes": writes_digest(run)},
    }


def _committed() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(GOLDEN.read_text())
    return value


@pytest.mark.parametrize(
    "part",
    ["canonical", "numbers", "schema", "payloads", "specification", "cohorts", "updates_digest", "story"],
)
def test_the_bytes_are_those_that_were_committed(part: str) -> None:
    assert json.loads(json.dumps(vectors()[part])) == _committed()[part]


def test_nothing_is_committed_that_is_not_compared() -> None:
    assert set(_committed()) == set(vectors())


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=True)
    sys.stdout.write("\n")
