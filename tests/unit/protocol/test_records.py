"""Records: what is written under each kind of key, and that every one carries the version of its form."""

from __future__ import annotations

import pytest

from consilo.protocol import records
from consilo.protocol.access import reference_of
from consilo.protocol.model import Record
from consilo.protocol.records import GlobalModel, GlobalReference, LedgerRecord, Opening, Proposal, Selection, Update
from tests import ledger_records
from tests.simulators import Consortium

WRITTEN = sorted(
    (
        model
        for model in vars(records).values()
        if isinstance(model, type) and issubclass(model, LedgerRecord) and model is not LedgerRecord
    ),
    key=lambda model: model.__name__,
)


def _eventful() -> Consortium:
    c = Consortium(silos=2)
    c.running()
    c.revoke_member("HospitalX/silo")
    model = c.complete_round()
    c.report_evaluation(None, model)
    c.record_access("HospitalA/auditor", reference_of(model))
    c.attest_global(None, "mismatch", model)
    return c


@pytest.mark.parametrize("model", WRITTEN, ids=lambda model: model.__name__)
def test_every_kind_of_record_is_written_by_some_transition(model: type[Record]) -> None:
    assert _eventful().all(model)


def test_what_is_written_is_versioned_and_names_its_own_place() -> None:
    c = _eventful()
    for key, data in c.state.records.items():
        record = ledger_records.decode(key, data)
        assert isinstance(record, LedgerRecord)
        assert record.schema_version == 1
        assert b'"schema_version":1' in data
        if isinstance(record, Opening | Selection | Update | GlobalModel | Proposal):
            assert key.startswith(f"run/{record.run}/")
        if isinstance(record, Opening | Selection | Update):
            assert f"/round/{record.round:07}/attempt/{record.attempt:04}/" in key


def test_a_global_is_named_by_round_attempt_and_digest() -> None:
    c = _eventful()
    first, second = c.all(GlobalModel)
    assert first.reference == GlobalReference(round=0, attempt=0, sha256=first.artifact.sha256)
    assert second.reference == GlobalReference(round=1, attempt=1, sha256=second.artifact.sha256)
    assert [opening.base for opening in c.all(Opening)] == [first.reference, first.reference, second.reference]
