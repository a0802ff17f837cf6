"""Lies that endorsing peers see through: what a gateway alters or forges, and what one peer makes up by itself."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from consilo.api.gateway import now_ms
from consilo.fabric.blocks import decode_block
from consilo.identity.authority import Authority
from consilo.protocol.queries import OfOrganisation, OfRound
from consilo.protocol.records import Selection
from consilo.verification.fabric import FabricReplay
from services.ledger.fabric.answers import MISMATCH, Answer
from tests.attacks.table import CODES
from tests.fabric.direct import DirectConsortium, direct_consortium
from tests.fabric.liars import chaincode_lies_at
from tests.fabric.lying_chaincode import TIMES, favouring
from tests.forgeries import tampered

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]

ALL = ("HospitalA", "HospitalB", "HospitalC")
POLICY_FAILURE = 10  # peer.TxValidationCode.ENDORSEMENT_POLICY_FAILURE


@dataclass
class Squatting:
    """What came of the try to register HospitalB before it did."""

    refusals: dict[str, str]
    error: str
    registered: dict[str, object] = field(default_factory=dict)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unregistered(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DirectConsortium]:
    async with direct_consortium(tmp_path_factory.mktemp("lies")) as consortium:
        yield consortium


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def squatting(unregistered: DirectConsortium) -> Squatting:
    """HospitalA's gateway brings a registration of HospitalB, with roots of HospitalA's making."""
    c = unregistered
    await c.register("HospitalA", "HospitalC")
    own = Authority.create("HospitalB", now=now_ms())
    operator = own.issue("operator", "operator", now=now_ms())
    roots = [base64.b64encode(root).decode() for root in own.roots]
    forged = c.make.register_organisation("HospitalB", by=operator, roots=roots)
    refusals = await c.refusals("HospitalA", forged)
    error = await c.not_endorsed("HospitalA", forged)
    registered = {msp: await c.ask(msp, "organisation", OfOrganisation(msp="HospitalB")) for msp in ALL}
    return Squatting(refusals, str(error), registered)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consortium(unregistered: DirectConsortium, squatting: Squatting) -> DirectConsortium:
    """Three registered organisations."""
    await unregistered.register("HospitalB")
    return unregistered


# What a gateway may try alone


async def test_an_organisation_is_not_registered_by_anothers_gateway(squatting: Squatting) -> None:
    code = CODES["a registration of another organisation's roots"]
    assert squatting.refusals == dict.fromkeys(ALL, code)
    assert code in squatting.error
    assert squatting.registered == dict.fromkeys(ALL)


@pytest.mark.parametrize(
    "fields", [{"num_samples": 900}, {"metrics": {"accuracy": "1.0"}}, {"base": "0" * 64}], ids=lambda each: min(each)
)
async def test_metadata_that_a_gateway_alters_is_refused_by_every_endorser(
    consortium: DirectConsortium, fields: dict[str, object]
) -> None:
    c = consortium
    await c.running(f"altered-{min(fields).replace('_', '-')}")
    altered = tampered(c.make.publish_update("HospitalA/silo"), **fields)

    code = CODES["metadata of an update that its member's gateway alters"]
    assert await c.refusals("HospitalA", altered) == dict.fromkeys(ALL, code)
    assert codes_of((await c.not_endorsed("HospitalA", altered)).answers) == {code}

    await c.check_records()


async def test_an_update_that_a_gateway_forges_for_a_member_is_refused_by_every_endorser(
    consortium: DirectConsortium,
) -> None:
    c = consortium
    await c.running("forged")
    of_another = c.make.publish_update("HospitalB/silo", by=c.make.identity("HospitalA/silo"))
    of_its_own = c.make.publish_update("HospitalA/silo-2", by=c.make.identity("HospitalA/silo"))
    for forged, name in (
        (of_another, "an update that a gateway forges for another organisation's member"),
        (of_its_own, "an update that a gateway has signed by another member of its organisation"),
    ):
        assert await c.refusals("HospitalA", forged) == dict.fromkeys(ALL, CODES[name])
        assert codes_of((await c.not_endorsed("HospitalA", forged)).answers) == {CODES[name]}
    await c.check_records()


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_time_that_a_gateway_makes_up_is_refused_by_every_endorser(
    consortium: DirectConsortium, seconds: int
) -> None:
    c = consortium
    await c.running("late" if seconds < 0 else "early")
    update = c.make.publish_update("HospitalA/silo")

    refusals = await c.refusals("HospitalA", update, time=now_ms() + seconds * 1000)

    assert refusals == dict.fromkeys(ALL, CODES["a transaction with a time of its gateway's making"])
    await c.commit(update)  # the same, with the right time
    await c.check_records()


# What a peer may make up


async def test_what_one_peer_makes_up_finds_no_second_endorser_and_is_told_by_name(
    consortium: DirectConsortium,
) -> None:
    c = consortium
    await c.ready_to_close("made-up")
    close = c.make.close_round()
    async with chaincode_lies_at(c.network, "HospitalA"):
        error = await c.not_endorsed("HospitalA", close)
        assert {answer.msp for answer in error.answers if answer.differs} == {"HospitalB", "HospitalC"}
        for msp in ("HospitalB", "HospitalC"):
            assert f"{msp} ({c.network.organisation(msp).peer.address}): {MISMATCH}" in str(error)

        await c.commit(close, through="HospitalB", endorsed_by=["HospitalB", "HospitalC"])
    await c.check_records()
    summary = await c.ask("HospitalA", "round", OfRound(run="made-up", round=0))
    assert {update.member: update.num_samples for update in summary.selection.selected} == dict.fromkeys(
        c.make.layout.silos, 10
    )


async def test_a_global_of_another_selection_than_the_recorded_one_finds_no_second_endorser(
    consortium: DirectConsortium,
) -> None:
    c = consortium
    await c.ready_to_close("own-weights")
    await c.commit(c.make.close_round())
    status = c.make.status()
    assert status is not None
    assert status.attempt is not None
    assert status.attempt.selection is not None
    wrong = favouring(status.attempt.selection)
    own_weights = c.make.publish_global(inputs=wrong.selected)
    code = CODES["a global of weights that only the aggregator's own peer endorses"]
    async with chaincode_lies_at(c.network, "HospitalA"):
        assert await c.refusals("HospitalA", own_weights) == {"HospitalA": "", "HospitalB": code, "HospitalC": code}
        assert codes_of((await c.not_endorsed("HospitalA", own_weights)).answers) == {code}
        alone = await c.order("HospitalA", await c.endorse("HospitalA", own_weights, ["HospitalA"]))
    assert alone.code == POLICY_FAILURE
    await c.check_records()


async def test_what_one_organisation_endorses_alone_is_in_a_block_and_has_no_effect(
    consortium: DirectConsortium,
) -> None:
    c = consortium
    await c.ready_to_close("alone")
    close = c.make.close_round()
    async with chaincode_lies_at(c.network, "HospitalA"):
        endorsed = await c.endorse("HospitalA", close, ["HospitalA"])
        status = await c.order("HospitalA", endorsed)
    assert status.code == POLICY_FAILURE

    for msp in ALL:
        (found,) = [
            transaction
            for block in map(decode_block, await c.blocks_of(msp))
            for transaction in block.transactions
            if transaction.id == endorsed.transaction_id
        ]
        assert found.code == POLICY_FAILURE
        (selection,) = [Selection.decode(data) for key, data in found.writes.items() if key.endswith("/selection")]
        assert max(update.num_samples for update in selection.selected) == 10 * TIMES, "the lie is there to be seen"
    await c.check_records()
    for msp in ALL:
        replay = FabricReplay().run(await c.blocks_of(msp))
        assert replay.findings == []
        assert replay.state.records == c.make.state.records

    await c.commit(close)
    await c.check_records()


def codes_of(answers: tuple[Answer, ...]) -> set[str]:
    """The codes in endorsers' refusals."""
    return {answer.refusal.code for answer in answers if answer.refusal is not None}
