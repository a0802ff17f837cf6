"""Ends at the worst moment: when the orderers have accepted a transaction, and nobody knows yet whether it counts."""

from __future__ import annotations

import pytest

from consilo.fabric.blocks import FabricTransaction
from consilo.protocol.apply import Event
from tests.fabric.harness import FabricTrial
from tests.fabric.proofs import all_blocks
from tests.fabric.shared import Shared, shared

__all__ = ["shared"]

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]

GATEWAY = "ledger-HospitalB"
MOST_TRIES = 4


async def test_an_update_whose_gateway_is_killed_before_it_knows_of_the_commit_is_recorded_once(
    shared: Shared,
) -> None:
    async with shared.trial() as trial:
        await trial.begin("gateway", rounds=4, milliseconds=500)
        accepted = await killed_when_an_update_was_accepted(trial, "gateway", "self")
        await trial.restart(GATEWAY)

        await trial.prove("gateway")

        (recorded,) = await on_the_ledger(trial, accepted["transaction"])
        assert recorded.id == accepted["id"], "what was accepted then counts"


@pytest.mark.parametrize("also_the_gateway", [False, True])
async def test_an_update_that_the_orderer_accepted_and_lost_is_handed_in_again_and_recorded_once(
    shared: Shared, also_the_gateway: bool
) -> None:
    async with shared.trial() as trial:
        for number in range(MOST_TRIES):
            run = f"lost-{'both' if also_the_gateway else 'orderer'}-{number}"
            await trial.begin(run, rounds=3, milliseconds=500)
            (orderer,) = trial.network.orderers
            victims = (orderer.pid, "self") if also_the_gateway else (orderer.pid,)
            accepted = await killed_when_an_update_was_accepted(trial, run, *victims)
            await trial.network.kill_orderer(orderer.name)  # until it has ended
            await trial.network.start_orderer(orderer.name)
            if also_the_gateway:
                await trial.restart(GATEWAY)

            await trial.prove(run)

            (recorded,) = await on_the_ledger(trial, accepted["transaction"])
            if recorded.id != accepted["id"]:
                return  # lost, and handed in again
        raise AssertionError(f"the orderer was {MOST_TRIES} times fast enough to write what it had accepted")


async def killed_when_an_update_was_accepted(trial: FabricTrial, run: str, *victims: int | str) -> dict[str, str]:
    """Which update of HospitalB's silo it was at whose acceptance these were killed."""
    await trial.until_global(run, 1)
    trial.tell_at_next_accepted("HospitalB", "publish_update", *victims)
    accepted = await trial.accepted("HospitalB")
    if "self" in victims:
        await trial.until_ended(GATEWAY)
    return accepted


async def on_the_ledger(trial: FabricTrial, transaction: str) -> list[FabricTransaction]:
    """The transactions that count and made this one of the protocol known."""
    party = await trial.party_of("HospitalC")
    return [
        each
        for block in await all_blocks(party)
        for each in block.transactions
        if each.valid and each.event is not None and Event.decode(each.event).transaction == transaction
    ]
