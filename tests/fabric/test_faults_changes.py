"""Changes of the network in the middle of a run: another chaincode, another organisation. The run does not notice."""

from __future__ import annotations

import time

import pytest

from tests.fabric.harness import NEWCOMER, report
from tests.fabric.proofs import all_blocks
from tests.fabric.shared import Shared, shared
from tests.faults.proofs import attested_rounds

__all__ = ["shared"]

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]


async def test_a_run_does_not_notice_that_the_chaincode_is_deployed_again(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("upgraded", rounds=8, milliseconds=600)
        await trial.until_global("upgraded", 1)
        started = time.monotonic()
        await trial.network.upgrade()
        report("chaincode deployed again", time.monotonic() - started)
        assert trial.network.description.sequence == 2

        status = await trial.until("upgraded", lambda _: True)
        assert status.state == "active", "the chaincode changed in its middle"
        await trial.prove("upgraded")


async def test_an_organisation_added_in_the_middle_of_a_run_takes_part_in_the_next(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("before", rounds=10, milliseconds=1200)
        await trial.until_global("before", 1)
        started = time.monotonic()
        await trial.network.add_organisation(NEWCOMER)
        report("organisation added to the channel", time.monotonic() - started)
        await trial.join(NEWCOMER)
        report("organisation has registered and its silo waits", time.monotonic() - started)
        status = await trial.until("before", lambda _: True)
        assert status.state == "active", "it came in the middle of the run"
        await trial.prove("before")

        await trial.begin("after", rounds=3)
        await trial.prove("after")
        party = await trial.party_of(NEWCOMER)
        for summary in await attested_rounds(party, "after", 3):
            assert f"{NEWCOMER}/silo" in {update.member for update in summary.updates}
        senders = {each.creator_msp for block in await all_blocks(party) for each in block.transactions}
        assert NEWCOMER in senders, "its transactions come through its own gateway"
