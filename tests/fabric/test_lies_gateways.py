"""Lies of a gateway or a peer in a running consortium: its own members are told, and nobody else is harmed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consilo.aggregation import write_artifact
from consilo.api.errors import GatewayRefused, GatewayUnavailable
from consilo.api.party import Party
from consilo.api.patience import Patience
from consilo.protocol.bodies import PublishUpdate, RevokeMember
from consilo.protocol.specification import SiloTerms, Specification
from consilo.verification import Report, verify_run
from tests.attacks.table import CODES
from tests.fabric.direct import clients_at, connection_to
from tests.fabric.harness import FabricTrial
from tests.fabric.liars import chaincode_lies_at
from tests.fabric.shared import Shared, shared
from tests.faults.harness import API
from tests.faults.paced import FLOATS

__all__ = ["shared"]

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]

FALSE = "tests.fabric.false_gateway"
HOUR = 3600


async def report_by(trial: FabricTrial, msp: str, run: str) -> Report:
    """What comes of verifying at an organisation's own gateway."""
    async with Party(trial.auditors[msp], trial.system.gateways[msp], settings=API) as party:
        return await verify_run(party, run)


def problem_of(report: Report) -> str:
    """The one thing that a verification found wrong."""
    (failed,) = [step for step in report.steps if step.outcome == "failed"]
    (problem,) = failed.problems
    return problem


@pytest.mark.parametrize("lie", ["flag", "dropped"])
async def test_blocks_that_a_gateway_made_up_are_found_by_whoever_verifies_there(shared: Shared, lie: str) -> None:
    code = CODES[{"flag": "a block with a false word on what counts", "dropped": "a block without a transaction"}[lie]]
    async with shared.trial() as trial:
        await trial.begin(f"shown-{lie}", rounds=1)
        await trial.prove(f"shown-{lie}")
        async with trial.replaced("ledger-HospitalC", FALSE, LIE=lie):
            told = await report_by(trial, "HospitalC", f"shown-{lie}")
            assert f"[{code}]" in problem_of(told)
            assert told.globals == ()

            elsewhere = await report_by(trial, "HospitalA", f"shown-{lie}")
            assert elsewhere.complete, elsewhere.steps
        assert (await report_by(trial, "HospitalC", f"shown-{lie}")).complete


async def test_a_peer_that_holds_another_state_is_found_by_whoever_verifies_anywhere(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("other-state", rounds=1)
        await trial.prove("other-state")
        async with trial.replaced("ledger-HospitalC", FALSE, LIE="state"):
            for msp in ("HospitalA", "HospitalC"):
                problem = problem_of(await report_by(trial, msp, "other-state"))
                assert f"[{CODES['a peer with another state']}]" in problem
                assert msp == "HospitalC" or "HospitalC holds another state" in problem


async def test_a_member_is_told_when_its_gateway_alters_what_it_signed(shared: Shared, tmp_path: Path) -> None:
    def only_one_silo(agreed: Specification) -> Specification:
        terms = (SiloTerms(member="HospitalB/silo-2", max_samples=1000),)
        return agreed.model_copy(update={"silos": terms, "threshold": 1, "minimum": 1})

    async with shared.trial() as trial:
        hospital = trial.system.hospitals[1]
        silo = hospital.authority.issue("silo", "silo-2", now=trial.now())
        await trial.begin("altered", rounds=1, change=only_one_silo)
        status = await trial.until_global("altered", 0)
        assert status.latest is not None
        file = tmp_path / "update.safetensors"
        write_artifact(file, trial.tensors, {"weights": np.ones(FLOATS, np.float32)})
        async with Party(silo, trial.system.gateways["HospitalB"], settings=API) as party:
            update = PublishUpdate(
                run="altered",
                round=0,
                attempt=1,
                base=status.latest.artifact.sha256,
                artifact=await party.data_put("altered", file),
                num_samples=10,
                metrics={},
            )
        async with trial.replaced("ledger-HospitalB", FALSE, LIE="altered"):
            async with Party(silo, trial.system.gateways["HospitalB"], settings=API) as party:
                with pytest.raises(GatewayRefused) as refused:
                    await party.metadata_publish(update)
            assert refused.value.code == CODES["metadata of an update that its member's gateway alters"]
        async with Party(silo, trial.system.gateways["HospitalB"], settings=API) as party:
            await party.metadata_publish(update)

        await trial.prove("altered")


async def test_a_gateway_whose_clock_is_wrong_is_told_so_and_goes_on_when_it_is_right(
    shared: Shared, tmp_path: Path
) -> None:
    offset = tmp_path / "offset"
    offset.write_text(str(HOUR))
    async with shared.trial() as trial:
        hospital, gateway = trial.system.hospitals[1], trial.system.gateways["HospitalB"]
        leaver = hospital.authority.issue("viewer", "leaver", now=trial.now())
        async with trial.replaced("ledger-HospitalB", FALSE, LIE="clock", CLOCK_OFFSET_FILE=str(offset)):
            with pytest.raises(GatewayUnavailable, match="set the clocks") as at_start:
                async with Party(hospital.operator, gateway, patience=Patience(API, 1.0)):
                    pass
            assert at_start.value.code == "ledger-misconfigured"
            offset.write_text("0")
            async with Party(hospital.operator, gateway, settings=API) as party:
                transaction = party.sign(RevokeMember(serial=leaver.certificate.serial, reason="left"))
                for seconds, way in ((HOUR, "ahead of"), (-HOUR, "behind")):
                    offset.write_text(str(seconds))
                    with pytest.raises(GatewayUnavailable, match=rf"{way} .*set the clocks") as told:
                        await party.gateway.submit(transaction)
                    assert told.value.code == CODES["a transaction with a time of its gateway's making"]
                offset.write_text("0")
                committed = await party.gateway.submit(transaction)
                assert not committed.repeated


async def test_a_run_ends_whole_while_another_organisations_peer_makes_up_selections(shared: Shared) -> None:
    async with shared.trial() as trial:
        async with chaincode_lies_at(trial.network, "HospitalC"):
            await trial.begin("outvoted", rounds=6)
            await trial.until_finished("outvoted")
        await trial.prove("outvoted")


async def test_a_run_stands_still_while_the_aggregators_own_peer_makes_up_selections_and_then_ends_whole(
    shared: Shared,
) -> None:
    async with shared.trial() as trial:
        await trial.begin("own-peer", rounds=4, milliseconds=500)
        await trial.until_global("own-peer", 1)
        waits = len(trial.lines("aggregator", "waiting"))
        async with chaincode_lies_at(trial.network, "HospitalA"):
            await trial.until_logged(["aggregator"], "waiting", since=waits)
            because = trial.lines("aggregator", "waiting")[-1]["because"]
            for word in (CODES["a selection that one peer makes up"], "HospitalA", "HospitalB", "HospitalC"):
                assert word in because
            party = await trial.party_of("HospitalB")
            status = await party.metadata_get("own-peer")
            assert status.attempt is not None
            assert status.attempt.selection is None

        await trial.prove("own-peer")


async def test_a_transaction_that_one_organisation_endorses_alone_disturbs_nobody(shared: Shared) -> None:
    async with shared.trial() as trial:
        await trial.begin("undisturbed", rounds=3)
        await trial.until_global("undisturbed", 1)
        hospital = trial.system.hospitals[0]
        victim = hospital.authority.issue("viewer", "victim", now=trial.now())
        async with Party(hospital.operator, trial.system.gateway, settings=API) as party:
            transaction = party.sign(RevokeMember(serial=victim.certificate.serial, reason="alone"))
        connection = connection_to(trial.network.organisation("HospitalA"))
        try:
            client, _ = clients_at(trial.network.description, trial.network.organisation("HospitalA"), connection)
            for _ in range(3):
                proposal = client.propose([b"submit", transaction.encode()], trial.now())
                endorsed = await client.endorse(proposal, ["HospitalA"])
                await client.submit(endorsed)
                status = await client.commit_status(endorsed.transaction_id)
                assert status.code == 10
        finally:
            await connection.close()

        await trial.prove("undisturbed")

        # The last block may be one in which nothing counts.
        patience = Patience(API, 5.0)
        for msp in trial.auditors:
            async with Party(victim, trial.system.gateways[msp], settings=API, patience=patience) as party:
                assert (await party.metadata_get("undisturbed")).state == "finished"
