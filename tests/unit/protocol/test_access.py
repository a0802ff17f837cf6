"""Who may read which artifact, from the ledger as it stands."""

from __future__ import annotations

import pytest

from consilo.protocol.access import (
    artifact_of,
    artifact_owner,
    artifact_record,
    may_read,
    policy_names,
    reference_of,
)
from consilo.protocol.bodies import UpdateArtifact
from consilo.protocol.records import Access, GlobalModel, Update
from tests.simulated_requests import GRACE_MS
from tests.simulators import OUTSIDER, Consortium

A, B, C = "HospitalA/silo", "HospitalB/silo", "HospitalC/silo"
FIRST = "HospitalA/aggregator"


def _consortium() -> Consortium:
    c = Consortium(silos=3, aggregators=2)
    c.running()
    c.publish_update(B)
    return c


def _update(c: Consortium) -> UpdateArtifact:
    reference = reference_of(c.all(Update)[0])
    assert isinstance(reference, UpdateArtifact)
    return reference


def test_a_reference_leads_back_to_its_record() -> None:
    c = _consortium()
    records: list[Update | GlobalModel] = [*c.all(Update), c.latest]
    for record in records:
        reference = reference_of(record)
        assert artifact_record(c.state, "trial", reference) == record
        assert artifact_of(c.state, "trial", reference) == record.artifact
        assert artifact_owner(c.state, "trial", reference) == record.artifact.organisation


@pytest.mark.parametrize(
    "change", [{"sha256": "0" * 64}, {"round": 1}, {"attempt": 2}, {"member": A}], ids=lambda change: next(iter(change))
)
def test_a_reference_with_anything_wrong_leads_nowhere(change: dict[str, object]) -> None:
    c = _consortium()
    reference = _update(c).model_copy(update=change)
    assert artifact_of(c.state, "trial", reference) is None
    assert not may_read(c.state, "trial", B, reference)
    with c.refused("artifact-unknown"):
        c.record_access("HospitalA/auditor", reference)


def test_the_owner_s_organisation_reads_what_lies_in_its_store() -> None:
    c = _consortium()
    assert may_read(c.state, "trial", "HospitalB/operator", _update(c))
    assert not may_read(c.state, "trial", A, _update(c))


def test_nobody_reads_by_way_of_a_run_that_there_is_not() -> None:
    c = _consortium()
    assert not may_read(c.state, "another", "HospitalB/operator", _update(c))


def test_readers_of_the_policy_read_once_their_access_is_recorded() -> None:
    c = _consortium()
    for reader in ("HospitalA/auditor", "HospitalC/verifier"):
        assert not may_read(c.state, "trial", reader, _update(c))
        c.record_access(reader, _update(c))
        assert may_read(c.state, "trial", reader, _update(c))
    accesses = c.all(Access)
    assert {access.reader for access in accesses} == {"HospitalA/auditor", "HospitalC/verifier"}
    assert {(access.owner, access.sha256) for access in accesses} == {("HospitalB", _update(c).sha256)}


def test_an_aggregator_reads_an_update_only_once_it_is_selected_and_then_without_record() -> None:
    c = _consortium()
    with c.refused("access-not-allowed"):
        c.record_access(FIRST, _update(c))
    c.publish_updates(A)
    c.advance(GRACE_MS)
    c.close_round()
    assert may_read(c.state, "trial", FIRST, _update(c))
    assert not may_read(c.state, "trial", f"{OUTSIDER}/aggregator", _update(c))


def test_an_update_that_the_selection_left_out_is_not_for_the_aggregator() -> None:
    c = Consortium(silos=3)
    c.running(selection={"policy": "top_k", "metric": "accuracy", "k": 1, "order": "highest"}, minimum=1)
    c.publish_update(A, metrics={"accuracy": "0.9"})
    c.publish_update(B, metrics={"accuracy": "0.8"})
    c.publish_update(C, metrics={"accuracy": "0.7"})
    c.close_round()
    readable = [may_read(c.state, "trial", "HospitalB/aggregator", reference_of(update)) for update in c.all(Update)]
    assert readable == [True, True, False], "the second is its own organisation's"


def test_an_update_that_carries_over_is_the_aggregator_s_when_a_later_attempt_selects_it() -> None:
    c = _consortium()
    c.pass_deadline()
    c.close_round()
    c.reopen_round(FIRST, {B: "unavailable"})
    assert may_read(c.state, "trial", FIRST, _update(c))
    other = Consortium(silos=3)
    other.running(minimum=2)
    other.publish_update(B)
    other.pass_deadline()
    other.reopen_round(B)
    assert not may_read(other.state, "trial", FIRST, _update(other))
    other.close()
    assert may_read(other.state, "trial", FIRST, _update(other))


def test_the_policy_names_organisations_for_globals_and_members_for_updates() -> None:
    c = _consortium()
    specification = c.status.proposal.specification
    update, model = _update(c), reference_of(c.latest)
    named = {
        "HospitalA/anyone": (True, False),
        "HospitalA/auditor": (True, True),
        "HospitalC/verifier": (True, True),
        FIRST: (True, False),
        B: (True, False),
        f"{OUTSIDER}/auditor": (False, False),
    }
    for reader, expected in named.items():
        names = (policy_names(specification, reader, model), policy_names(specification, reader, update))
        assert names == expected


def test_access_is_not_dated_before_the_artifact_was_published() -> None:
    c = _consortium()
    c.advance(-1000)
    c.record_access("HospitalA/auditor", _update(c))
    assert c.all(Access)[0].recorded_at == c.all(Update)[0].published_at
