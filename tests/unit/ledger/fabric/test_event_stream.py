"""The event stream over a channel, of which not every block has an event."""

from __future__ import annotations

import pytest

from consilo.api.watch import READY
from services.ledger.routes.events import _SIGN_OF_LIFE, _stream
from services.ledger.streams import Ending
from tests.unit.ledger.fabric.channels import add, revocation
from tests.unit.ledger.fabric.simulated_network import SimulatedNetwork, ready
from tests.unit.ledger.fabric.simulated_peers import MVCC_READ_CONFLICT

HEARTBEAT_SECONDS = 0.05


@pytest.mark.timeout(20)  # a stream that does not wait lets nothing else happen in the event loop
async def test_it_waits_while_nothing_in_the_newest_block_counts(network: SimulatedNetwork) -> None:
    adapter = await ready(network.adapter())
    stream = _stream(adapter, await adapter.end(), lambda _: True, HEARTBEAT_SECONDS, Ending())
    assert READY in await anext(stream)

    add(network.channel, revocation(network.channel, 0), codes=(MVCC_READ_CONFLICT,))
    network.spread()
    height = len(network.channel.blocks) - 1
    await adapter.wait_after(height - 1)
    assert await anext(stream) == _SIGN_OF_LIFE
    assert await anext(stream) == _SIGN_OF_LIFE

    add(network.channel, revocation(network.channel, 1))
    network.spread()
    while (told := await anext(stream)) == _SIGN_OF_LIFE:
        pass
    assert '"type":"revoke_member"' in told
