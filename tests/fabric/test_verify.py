"""The replay of a real network's blocks: what its peers decided, decided again, and every lie about it found."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from consilo.fabric.blocks import decode_block
from consilo.verification.fabric import FabricReplay
from tests.fabric.direct import direct_consortium
from tests.fabric.recording import ALL, CODES, Recorded, record
from tests.unit.verification.whole_channels import check_every_code_that_is_turned_round

pytestmark = [pytest.mark.fabric, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    async with direct_consortium(tmp_path_factory.mktemp("verify")) as consortium:
        yield await record(consortium)


@pytest.mark.parametrize("msp", ALL)
async def test_what_every_peer_decided_is_found_right(recorded: Recorded, msp: str) -> None:
    replay = FabricReplay().run(recorded.blocks[msp])
    assert replay.findings == []
    assert replay.state.records == recorded.state.records
    newest = decode_block(recorded.blocks[msp][-1])
    assert replay.head is not None
    assert replay.head.hash == newest.hash
    assert replay.marks[newest.number].commit_hash == newest.commit_hash is not None


async def test_peers_have_given_every_code_that_is_judged(recorded: Recorded) -> None:
    blocks = [decode_block(block) for block in recorded.blocks["HospitalA"]]
    assert {transaction.code for block in blocks for transaction in block.transactions} >= {
        CODES.VALID,
        CODES.DUPLICATE_TXID,
        CODES.ENDORSEMENT_POLICY_FAILURE,
        CODES.MVCC_READ_CONFLICT,
        CODES.PHANTOM_READ_CONFLICT,
    }


async def test_every_code_that_a_peer_turns_round_is_found(recorded: Recorded) -> None:
    check_every_code_that_is_turned_round(recorded.blocks["HospitalB"])
