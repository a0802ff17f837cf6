"""The replay of a gateway's ledger, when the gateway is honest and when it is not. Generates keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from consilo.api.errors import GatewayUnavailable
from consilo.api.heads import sign_head
from consilo.api.models import Head, LedgerInfo, SignedHead
from consilo.api.party import Party as Member
from consilo.embedded.file import LedgerFile
from consilo.identity.identity import Identity
from consilo.protocol.canonical import canonical, digest
from consilo.verification.chain import LedgerReplay, replay_ledger
from tests.unit.embedded.parties import LEDGER, NOW, Party, fill

T = TypeVar("T")


class Gateway:
    """Shows whatever blocks it is given, three at a time, and signs their head."""

    def __init__(self, blocks: list[bytes], signer: Identity) -> None:
        self.shown = blocks
        self.signer = signer
        self.head_shown = Head(ledger=LEDGER, height=len(blocks) - 1, hash=digest(blocks[-1]))

    async def info(self) -> LedgerInfo:
        return LedgerInfo(ledger=LEDGER, kind="embedded", organisations=("HospitalA",), version="0")

    async def head(self) -> SignedHead:
        return sign_head(self.signer, self.head_shown, NOW + 1000)

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        return self.shown[start : start + min(limit, 3)]


class Reader:
    """What a replay needs of a connected member."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def patience(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        assert what == "read the ledger"
        return await call()


@pytest.fixture(scope="module")
def party() -> Party:
    return Party.create()


@pytest.fixture(scope="module")
def ledger(party: Party, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path: Path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    fill(path, party, blocks=8, per_block=2)
    with LedgerFile(path) as file:
        return list(file.blocks())


@pytest.fixture(scope="module")
def signer(party: Party) -> Identity:
    return party.authority.issue("gateway", "gateway", now=NOW)


def replayed(gateway: Gateway, **options: Any) -> LedgerReplay:
    return asyncio.run(replay_ledger(cast("Member", Reader(gateway)), **options))


def outcomes(result: LedgerReplay) -> list[str]:
    return [step.outcome for step in result.steps()]


def rewritten(ledger: list[bytes], height: int, change: Callable[[dict[str, Any]], None]) -> list[bytes]:
    """The ledger with another block at a height, and hashes made to fit: by somebody who can write all blocks."""
    blocks = list(ledger)
    block = json.loads(blocks[height])
    change(block)
    blocks[height] = canonical(block)
    for later in range(height + 1, len(blocks)):
        block = json.loads(blocks[later])
        block["previous"] = digest(blocks[later - 1])
        blocks[later] = canonical(block)
    return blocks


def test_an_honest_gateway_s_ledger_holds(ledger: list[bytes], signer: Identity) -> None:
    heard: list[tuple[int, int]] = []
    hashes: list[str] = []
    seen = Head(ledger=LEDGER, height=4, hash=digest(ledger[4]))

    result = replayed(
        Gateway(ledger, signer), seen=seen, on_block=lambda *pair: heard.append(pair), on_hash=hashes.append
    )

    assert outcomes(result) == ["ok", "ok", "ok"]
    assert result.head == Head(ledger=LEDGER, height=8, hash=digest(ledger[-1]))
    assert "block 4, seen before, is there" in result.steps()[0].detail
    assert heard[-1] == (9, 9)
    assert hashes == [digest(block) for block in ledger]


def test_blocks_that_come_after_the_head_are_not_looked_at(ledger: list[bytes], signer: Identity) -> None:
    gateway = Gateway(ledger, signer)
    gateway.head_shown = Head(ledger=LEDGER, height=5, hash=digest(ledger[5]))
    gateway.shown = [*ledger[:6], b"not a block"]
    result = replayed(gateway)
    assert outcomes(result) == ["ok", "ok", "ok"]
    assert result.head == gateway.head_shown


def test_a_changed_signature_is_a_matter_of_step_2(ledger: list[bytes], signer: Identity) -> None:
    def change(block: dict[str, Any]) -> None:
        entry = block["entries"][1]["transaction"]
        entry["signature"] = block["entries"][0]["transaction"]["signature"]

    result = replayed(Gateway(rewritten(ledger, 5, change), signer))

    assert outcomes(result) == ["not-possible", "failed", "not-possible"]
    first, step, last = result.steps()
    assert step.detail.startswith("block 5: transaction 1")
    assert "signature-invalid" in step.detail
    assert step.detail.endswith("all holds up to block 4")
    assert first.reason == last.reason == "step-failed"


def test_a_transaction_that_was_there_before_is_a_matter_of_step_3(ledger: list[bytes], signer: Identity) -> None:
    again = json.loads(ledger[4])["entries"][0]

    def change(block: dict[str, Any]) -> None:
        block["entries"][0] = {**again, "time": block["entries"][0]["time"]}

    result = replayed(Gateway(rewritten(ledger, 5, change), signer))
    assert outcomes(result) == ["not-possible", "not-possible", "failed"]
    assert "block 5" in result.steps()[2].detail


def test_other_writes_are_a_matter_of_step_3(ledger: list[bytes], signer: Identity) -> None:
    result = replayed(Gateway(rewritten(ledger, 7, lambda block: block["entries"][0].update(writes="0" * 64)), signer))
    assert outcomes(result) == ["not-possible", "not-possible", "failed"]
    assert "block 7" in result.steps()[2].detail


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda blocks: blocks.__setitem__(3, blocks[4]), "block 3"),
        (lambda blocks: blocks.__setitem__(3, b"{}"), "block 3"),
        (lambda blocks: blocks.__delitem__(slice(6, None)), "the gateway does not give block 6"),
        (lambda blocks: blocks.clear(), "the gateway does not give block 0"),
    ],
)
def test_blocks_that_do_not_lead_to_the_head_are_a_matter_of_step_1(
    ledger: list[bytes], signer: Identity, change: Callable[[list[bytes]], None], sentence: str
) -> None:
    gateway = Gateway(list(ledger), signer)
    change(gateway.shown)
    result = replayed(gateway)
    assert outcomes(result) == ["failed", "not-possible", "not-possible"]
    assert sentence in result.steps()[0].detail


def test_a_head_that_the_blocks_do_not_lead_to_is_a_matter_of_step_1(ledger: list[bytes], signer: Identity) -> None:
    gateway = Gateway(ledger, signer)
    gateway.head_shown = gateway.head_shown.model_copy(update={"hash": "0" * 64})
    assert outcomes(replayed(gateway)) == ["failed", "not-possible", "not-possible"]


def test_a_head_that_no_gateway_of_the_ledger_signed_is_a_matter_of_step_1(ledger: list[bytes], party: Party) -> None:
    strangers = Party.create("HospitalX").authority.issue("gateway", "gateway", now=NOW)
    forged = Party.create().authority.issue("gateway", "gateway", now=NOW)
    silo = party.authority.issue("silo", "silo", now=NOW)
    for signer, sentence in (
        (strangers, "the ledger does not know HospitalX/gateway"),
        (forged, "the head's signature does not hold"),
        (silo, "signed by HospitalA/silo, a silo"),
    ):
        result = replayed(Gateway(ledger, signer))
        assert outcomes(result) == ["failed", "not-possible", "not-possible"]
        assert sentence in result.steps()[0].detail


def test_a_gateway_that_cannot_be_read_is_no_finding(ledger: list[bytes], signer: Identity) -> None:
    class Away(Gateway):
        async def blocks(self, start: int, limit: int) -> list[bytes]:
            if start:
                raise GatewayUnavailable("away")
            return await super().blocks(start, limit)

    with pytest.raises(GatewayUnavailable):
        replayed(Away(ledger, signer))


async def test_a_replay_that_is_cancelled_ends(ledger: list[bytes], signer: Identity) -> None:
    asked = asyncio.Event()

    class Hanging(Gateway):
        async def blocks(self, start: int, limit: int) -> list[bytes]:
            if start:
                asked.set()
                await asyncio.Event().wait()
            return await super().blocks(start, limit)

    replaying = asyncio.ensure_future(replay_ledger(cast("Member", Reader(Hanging(ledger, signer)))))
    await asyncio.wait_for(asked.wait(), 10)
    replaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replaying
