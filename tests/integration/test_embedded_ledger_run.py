"""A whole run on the embedded ledger is, record for record, the run that the state machine makes in memory."""

from __future__ import annotations

import base64
from concurrent.futures import Future
from pathlib import Path

from consilo.embedded.blocks import Genesis
from consilo.embedded.ledger import EmbeddedLedger
from consilo.embedded.positions import BEGINNING
from consilo.embedded.receipts import Receipt
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.canonical import canonical
from consilo.protocol.certificates import roots_digest
from consilo.protocol.values import organisation_of
from consilo.protocol.views import run_status
from consilo.verification.embedded import replay_file
from tests.simulators import Admitted, Consortium
from tests.unit.embedded.parties import DEADLINE_SECONDS, Clock


def genesis_for(admitted: list[Admitted]) -> Genesis:
    """A genesis that vouches for the registrations."""
    organisations = {}
    for each in admitted:
        payload = each.transaction.payload
        if payload.type == "register_organisation":
            roots = RegisterOrganisation.decode(canonical(payload.body)).roots
            organisations[organisation_of(payload.member)] = roots_digest([base64.b64decode(root) for root in roots])
    ledger = admitted[0].transaction.payload.ledger
    return Genesis(ledger=ledger, organisations=organisations, created_at=admitted[0].time)


def test_a_whole_run_on_the_ledger_is_the_same_as_in_memory_and_replays(tmp_path: Path) -> None:
    consortium = Consortium(silos=3)
    consortium.active(rounds=4)
    consortium.continue_honestly()
    consortium.report_evaluation()
    admitted = consortium.admitted
    path = tmp_path / "ledger.db"
    genesis = EmbeddedLedger.create(path, genesis_for(admitted))
    clock = Clock(0)

    futures: list[Future[Receipt]] = []
    with EmbeddedLedger.open(path, clock=clock) as ledger:
        for each in admitted:
            if each.time > clock.now:
                # All that was sent has its time before the clock goes on.
                for future in futures:
                    future.result(DEADLINE_SECONDS)
                clock.now = each.time
            futures.append(ledger.submit(each.transaction))
        receipts = [future.result(DEADLINE_SECONDS) for future in futures]
        events = ledger.events(BEGINNING, 1000)
        with ledger.snapshot() as state:
            assert dict(state.range("", "~")) == dict(sorted(consortium.state.records.items()))
            assert run_status(state, consortium.make.run) == consortium.status
            assert consortium.status.state == "finished"

    assert [receipt.transaction for receipt in receipts] == [event.event.transaction for event in events]
    assert [receipt.time for receipt in receipts] == [each.time for each in admitted]
    result = replay_file(path, expected_genesis=genesis.hash, expected_head=receipts[-1].head)
    assert result.findings == []
    assert result.transactions == len(admitted)
    assert result.state.records == consortium.state.records
