"""Whatever somebody who may send to the channel has ordered, a replay comes to its end. Generates keys."""

from __future__ import annotations

from functools import cache

from fabric_protos.common import common_pb2
from hypothesis import given
from hypothesis import strategies as st

from consilo.verification.fabric import FabricReplay
from tests.fabric_members import organisation
from tests.fabric_requests import signed_envelope
from tests.unit.verification.fabric_ledgers import Ledger, admitted
from tests.unit.verification.recorded import read_blocks

COMMON_CODES = (0, 5, 10, 11, 255)


@cache
def ledger() -> tuple[Ledger, bytes]:
    """A ledger, and the payload of a transaction that would be valid."""
    made = Ledger(taken=3)
    request = made.channel.endorsed(made.revocation(1), time=admitted()[3].time)
    return made, common_pb2.Envelope.FromString(request.envelope()).payload


@cache
def recorded() -> tuple[bytes, ...]:
    """The blocks of a real channel."""
    return tuple(read_blocks())


def spoiled(data: bytes, draw: st.DataObject) -> bytes:
    """The bytes with some of them changed, left out, or put in."""
    start = draw.draw(st.integers(0, len(data)))
    left_out = draw.draw(st.integers(0, 8))
    return data[:start] + draw.draw(st.binary(max_size=8)) + data[start + left_out :]


@given(data=st.data(), code=st.sampled_from(COMMON_CODES), inner=st.booleans())
def test_a_payload_of_any_bytes_breaks_no_replay(data: st.DataObject, code: int, *, inner: bool) -> None:
    made, payload = ledger()
    client = organisation("HospitalA").client
    if inner:
        read = common_pb2.Payload.FromString(payload)
        read.data = spoiled(read.data, data)
        envelope = signed_envelope(client, read)
    else:
        raw = spoiled(payload, data)
        envelope = common_pb2.Envelope(payload=raw, signature=client.sign(raw)).SerializeToString()
    blocks = list(made.channel.blocks)
    block = made.channel.unfinished(envelope, codes=[code])
    found = FabricReplay().run([*blocks, block])
    assert found.ok or found.findings[0].block == len(blocks)


@given(st.data())
def test_a_block_of_any_bytes_breaks_no_replay(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(recorded()) - 1))
    blocks = [*recorded()[:number], spoiled(recorded()[number], data)]
    found = FabricReplay().run(blocks)
    assert found.ok or found.findings[0].block == number
