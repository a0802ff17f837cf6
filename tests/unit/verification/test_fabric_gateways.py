"""A ledger on Fabric as gateways show it: the own one replayed, those of others compared with it. Generates keys."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest
from fabric_protos.common import common_pb2

from consilo.api.errors import GatewayNotAllowed, GatewayUnavailable
from consilo.api.heads import sign_head
from consilo.api.models import Head, LedgerInfo, SignedHead
from consilo.api.party import Party
from consilo.fabric.blocks import decode_block, encode_line
from consilo.identity.identity import Identity
from consilo.verification.chain import LedgerReplay, replay_ledger
from consilo.verification.kinds import LedgerNotReadable, kind_of
from consilo.verification.others import registered_organisations
from tests.fabric_blocks import CHANNEL, FabricChannel
from tests.simulated_members import START_MS, identity
from tests.unit.verification.fabric_ledgers import Ledger

T = TypeVar("T")


@dataclass
class Gateway:
    """Shows whatever blocks it is given, two at a time, and signs their head."""

    msp: str
    shown: list[bytes]
    url: str = ""
    kind: str = "fabric"
    signer: Identity | None = None
    away: Exception | None = None
    lines: Callable[[bytes], bytes] = encode_line

    async def info(self) -> LedgerInfo:
        return LedgerInfo(ledger=CHANNEL, kind=self.kind, organisations=(self.msp,), version="0")

    async def head(self) -> SignedHead:
        if self.away is not None:
            raise self.away
        last = decode_block(self.shown[-1])
        signer = self.signer or identity(f"{self.msp}/gateway")
        return sign_head(signer, Head(ledger=CHANNEL, height=last.number, hash=last.hash), START_MS)

    async def blocks(self, start: int, limit: int) -> list[bytes]:
        return [self.lines(block) for block in self.shown[start : start + min(limit, 2)]]


@dataclass
class Reader:
    """What a replay needs of a connected member."""

    gateway: Gateway
    others: dict[str, Gateway] = field(default_factory=dict)

    async def patience(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        assert what == "read the ledger"
        return await call()

    async def gateway_of(self, msp: str) -> tuple[Gateway, None]:
        return self.others[msp], None


@pytest.fixture(scope="module")
def channel() -> FabricChannel:
    return Ledger().complete().channel


def replayed(gateway: Gateway, *others: Gateway, **options: Any) -> LedgerReplay:
    reader = Reader(gateway, {other.msp: other for other in others})
    return asyncio.run(replay_ledger(cast("Party", reader), **options))


def lines_of(result: LedgerReplay) -> list[tuple[str, str]]:
    return [(step.outcome, step.detail) for step in result.steps()]


def all_gateways(blocks: list[bytes]) -> tuple[Gateway, Gateway, Gateway]:
    return Gateway("HospitalA", blocks), Gateway("HospitalB", blocks), Gateway("HospitalC", blocks)


def test_the_same_ledger_at_three_gateways_holds(channel: FabricChannel) -> None:
    last = decode_block(channel.blocks[-1])
    seen = decode_block(channel.blocks[4])
    hashes: list[str] = []
    result = replayed(
        *all_gateways(channel.blocks),
        seen=Head(ledger=CHANNEL, height=4, hash=seen.hash),
        genesis=decode_block(channel.blocks[0]).hash,
        on_hash=hashes.append,
    )
    assert [outcome for outcome, _ in lines_of(result)] == ["ok", "ok", "ok"]
    assert "block 4, seen before, is there" in result.steps()[0].detail
    assert result.steps()[2].detail.endswith(
        f"the same state is held by HospitalB (block {last.number}), HospitalC (block {last.number})"
    )
    assert result.head == Head(ledger=CHANNEL, height=last.number, hash=last.hash)
    assert hashes == [decode_block(block).hash for block in channel.blocks]
    assert {each.msp for each in registered_organisations(result.replay.state)} == {
        "HospitalA",
        "HospitalB",
        "HospitalC",
    }


def test_a_gateway_that_is_behind_is_compared_where_it_is(channel: FabricChannel) -> None:
    own, behind, _ = all_gateways(channel.blocks)
    behind.shown = channel.blocks[:6]
    result = replayed(own, behind, Gateway("HospitalC", channel.blocks))
    assert "HospitalB (block 5)" in result.steps()[2].detail


def test_another_commit_hash_at_another_gateway_is_found_and_said_whose_it_is(channel: FabricChannel) -> None:
    own, other, third = all_gateways(channel.blocks)
    lying = Ledger().complete().channel  # other endorsements, so another chain: only its last commit hash is taken
    other.shown = [*channel.blocks[:-1], with_commit_hash(channel.blocks[-1], lying.blocks[-1])]
    result = replayed(own, other, third)
    first, second, step = result.steps()
    assert [first.outcome, second.outcome, step.outcome] == ["not-possible", "not-possible", "failed"]
    (finding,) = result.replay.findings
    assert (finding.step, finding.block) == ("commit-hash", len(channel.blocks) - 1)
    assert finding.message.startswith("HospitalB holds another state after this block")


def with_commit_hash(block: bytes, of: bytes) -> bytes:
    changed = common_pb2.Block.FromString(block)
    changed.metadata.metadata[4] = common_pb2.Metadata(
        value=bytes.fromhex(decode_block(of).commit_hash or "")[::-1]
    ).SerializeToString()
    return bytes(changed.SerializeToString())


def test_another_chain_at_another_gateway_is_found(channel: FabricChannel) -> None:
    own, other, third = all_gateways(channel.blocks)
    other.shown = Ledger().complete().channel.blocks
    result = replayed(own, other, third)
    (finding,) = result.replay.findings
    assert (finding.step, result.failed_step) == ("head", 1)
    assert finding.message.startswith("HospitalB has another block here")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda other: setattr(other, "away", GatewayUnavailable("no answer")), "no answer"),
        (lambda other: setattr(other, "away", GatewayNotAllowed("it lies elsewhere")), "it lies elsewhere"),
        (lambda other: setattr(other, "signer", identity("HospitalC/gateway")), "its head is signed by HospitalC"),
        (lambda other: setattr(other, "signer", identity("HospitalB/silo")), "a silo"),
        (lambda other: setattr(other, "lines", lambda _: b"{}"), "its block cannot be read"),
    ],
    ids=["away", "not-allowed", "signed-by-another", "signed-by-a-silo", "no-block"],
)
def test_a_gateway_that_cannot_be_compared_is_said_and_nothing_else_is_wrong(
    channel: FabricChannel, spoil: Callable[[Gateway], None], why: str
) -> None:
    own, other, third = all_gateways(channel.blocks)
    spoil(other)
    result = replayed(own, other, third)
    assert [outcome for outcome, _ in lines_of(result)] == ["ok", "ok", "ok"]
    detail = result.steps()[2].detail
    assert f"the same state is held by HospitalC (block {len(channel.blocks) - 1})" in detail
    assert "HospitalB was not compared: " in detail
    assert why in detail


def test_an_organisation_of_the_own_gateway_is_not_asked(channel: FabricChannel) -> None:
    registered = registered_organisations(channel.state)[1]
    own = Gateway("HospitalA", channel.blocks, url=registered.gateway)
    result = replayed(own, Gateway("HospitalC", channel.blocks))
    assert [comparison.msp for comparison in result.others] == ["HospitalC"]


def test_another_genesis_than_the_one_that_is_known_is_a_matter_of_step_1(channel: FabricChannel) -> None:
    result = replayed(Gateway("HospitalA", channel.blocks), genesis="0" * 64)
    assert lines_of(result)[0][0] == "failed"
    assert "another ledger" in lines_of(result)[0][1]
    assert result.others == ()  # nobody else is asked about a ledger that is wrong


def test_a_line_that_is_no_block_is_a_matter_of_step_1(channel: FabricChannel) -> None:
    result = replayed(Gateway("HospitalA", channel.blocks, lines=lambda block: b'{"height":0}'))
    assert lines_of(result)[0][0] == "failed"
    assert "the gateway gives no block 0" in lines_of(result)[0][1]


def test_a_kind_that_is_not_known_is_said() -> None:
    with pytest.raises(LedgerNotReadable, match="kind 'paper'") as error:
        kind_of("paper")
    assert error.value.code == "ledger-kind-unknown"


def test_what_is_missing_to_read_fabric_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("consilo.verification.fabric", "fabric_protos"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LedgerNotReadable, match=r"pip install 'consilo\[fabric\]'") as error:
        kind_of("fabric")
    assert error.value.code == "fabric-not-installed"
