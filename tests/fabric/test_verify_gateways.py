"""`consilo verify` and `consilo ledger` at the gateways of a consortium on Fabric, honest ones and ones that lie."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from consilo.api.party import Party
from consilo.fabric.blocks import FabricBlock
from tests.fabric.harness import FabricTrial
from tests.fabric.lying_gateway import LIES
from tests.fabric.proofs import all_blocks
from tests.fabric.shared import Shared, shared
from tests.faults.harness import API

__all__ = ["shared"]

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]

COMMAND_SECONDS = 60.0
RUN = "checked"


@dataclass
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """What it printed, with `--json`."""
        return json.loads(self.out)


async def consilo(trial: FabricTrial, *arguments: str, msp: str = "HospitalA") -> Answer:
    """Run a command as the auditor of an organisation, at its own gateway."""
    hospital = next(each for each in trial.system.hospitals if each.msp == msp)
    environment = {
        **os.environ,
        "CONSILO_GATEWAY": trial.system.gateways[msp],
        "CONSILO_IDENTITY": str(hospital.path("auditor")),
        "CONSILO_STATE": str(trial.directory / "state"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consilo.cli", *arguments, env=environment, stdout=-1, stderr=-1
    )
    out, err = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def lying(trial: FabricTrial, msp: str, lie: str) -> AsyncIterator[None]:
    """An organisation's gateway lies."""
    await trial.service(f"ledger-{msp}").kill()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(LIES, lie)
        await trial.services.start_as(f"ledger-{msp}", "tests.fabric.lying_gateway")
    trial.see()
    try:
        yield
    finally:
        await trial.service(f"ledger-{msp}").kill()
        await trial.services.start_as(f"ledger-{msp}")
        trial.see()


@pytest_asyncio.fixture(loop_scope="module")
async def trial(shared: Shared) -> AsyncIterator[FabricTrial]:
    """A consortium with a run that is finished."""
    async with shared.trial() as consortium:
        if RUN not in consortium.runs:
            await consortium.begin(RUN, rounds=2)
            await consortium.until_finished(RUN)
        yield consortium


async def blocks(trial: FabricTrial) -> list[FabricBlock]:
    """All blocks."""
    async with Party(trial.auditor, trial.system.gateway, settings=API) as party:
        return await all_blocks(party)


async def test_a_run_is_verified_in_the_five_steps_that_it_has_everywhere(trial: FabricTrial) -> None:
    genesis = (await blocks(trial))[0].hash
    done = await consilo(trial, "verify", RUN, "--genesis", genesis, "--json")
    assert done.code == 0, done
    assert done.value["complete"]
    names = ["chain", "signatures", "transitions", "inputs", "globals"]
    assert [(step["name"], step["outcome"]) for step in done.value["steps"]] == [(name, "ok") for name in names]
    assert "the same state is held by HospitalB (block" in done.value["steps"][2]["detail"]
    assert len(done.value["globals"]) == 3


async def test_a_ledger_is_verified_with_what_the_other_gateways_say(trial: FabricTrial) -> None:
    done = await consilo(trial, "ledger", "verify", "--json", msp="HospitalB")
    assert done.code == 0, done
    value = done.value
    assert value["ok"]
    assert {(each["msp"], each["missed"]) for each in value["others"]} == {("HospitalA", None), ("HospitalC", None)}
    told = await consilo(trial, "ledger", "verify", "--expect-head", value["head"]["hash"], msp="HospitalB")
    assert "Everything holds: blocks 0 to" in told.out
    assert "The same state is held by HospitalA (block" in told.out


async def test_a_ledger_with_another_genesis_is_refused(trial: FabricTrial) -> None:
    done = await consilo(trial, "ledger", "verify", "--genesis", "0" * 64, "--json")
    assert (done.code, done.value["first_bad_block"]) == (3, 0)
    assert "another ledger" in done.value["findings"][0]["message"]
    wrong = await consilo(trial, "verify", RUN, "--genesis", "0")
    assert (wrong.code, "hash-malformed" in wrong.err) == (2, True)


async def test_a_ledger_is_shown_with_what_only_fabric_knows(trial: FabricTrial) -> None:
    found = await blocks(trial)
    summary = (await consilo(trial, "ledger", "show", "--json")).value
    assert (summary["kind"], summary["genesis"]) == ("fabric", found[0].hash)
    assert summary["organisations"] == ["HospitalA", "HospitalB", "HospitalC"]
    assert RUN in summary["runs"]

    shown = (await consilo(trial, "ledger", "show", "--blocks", "--limit", "1000", "--json")).value
    assert [block["hash"] for block in shown][: len(found)] == [block.hash for block in found]
    transactions = [each for block in shown[1:] for each in block["transactions"]]
    (proposal,) = [each for each in transactions if each["type"] == "propose_run" and each["run"] == RUN]
    assert proposal["member"] == "HospitalA/operator"
    assert proposal["fabric"]["code"] == "VALID"
    assert len(proposal["fabric"]["endorsed_by"]) >= 2
    for wanted in (proposal["id"], proposal["fabric"]["id"]):
        one = (await consilo(trial, "ledger", "show", "--transaction", wanted, "--json")).value
        assert (one["id"], one["body"]["run"]) == (proposal["id"], RUN)
    table = await consilo(trial, "ledger", "show", "--blocks")
    assert "_lifecycle CommitChaincodeDefinition" in table.out
    assert "propose_run" in table.out
    records = await consilo(trial, "ledger", "show", "--records", f"run/{RUN}/global/", "--json")
    assert len(records.value) == 3


async def test_a_gateway_that_calls_a_valid_transaction_invalid_is_found(trial: FabricTrial) -> None:
    async with lying(trial, "HospitalA", "code"):
        done = await consilo(trial, "ledger", "verify", "--json")
        run = await consilo(trial, "verify", RUN)
    assert done.code == run.code == 3
    (finding,) = done.value["findings"]
    assert finding["step"] == "flag"
    assert "is called MVCC_READ_CONFLICT, and nothing is wrong with it" in finding["message"]
    assert "3. every transition replayed, its writes compared: FAILED" in run.out


async def test_another_gateway_that_holds_another_state_is_found_and_named(trial: FabricTrial) -> None:
    async with lying(trial, "HospitalB", "commit-hash"):
        done = await consilo(trial, "ledger", "verify", "--json")
    assert done.code == 3
    (finding,) = done.value["findings"]
    assert finding["step"] == "commit-hash"
    assert finding["message"].startswith("HospitalB holds another state after this block")


async def test_another_gateway_that_is_away_is_named_and_nothing_is_wrong(trial: FabricTrial) -> None:
    await trial.service("ledger-HospitalC").kill()
    try:
        done = await consilo(trial, "ledger", "verify")
    finally:
        await trial.services.start_as("ledger-HospitalC")
        trial.see()
    assert done.code == 0, done
    assert "HospitalC was not compared: " in done.out
    assert "The same state is held by HospitalB (block" in done.out
