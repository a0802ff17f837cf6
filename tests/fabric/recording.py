"""A channel on which about everything happens that peers judge: recorded, to be judged again.

`python -m tests.fabric.recording FILE` writes the blocks of one to a file. So `tests/unit/verification/recorded.xz` was
made, in which tests without Fabric see what a real network makes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.peer import transaction_pb2

from consilo.protocol.apply import apply
from consilo.protocol.state import DictState
from consilo.protocol.transaction import Transaction
from services.ledger.fabric.messages import Endorsed
from tests.fabric.direct import DirectConsortium, direct_consortium
from tests.unit.verification.recorded import write_blocks

ALL = ("HospitalA", "HospitalB", "HospitalC")
CODES = transaction_pb2.TxValidationCode


@dataclass(frozen=True)
class Recorded:
    """A channel on which about everything has happened.

    Attributes:
        blocks: of each organisation's peer.
        state: what the members made of it.
    """

    blocks: dict[str, list[bytes]]
    state: DictState


async def record(c: DirectConsortium) -> Recorded:
    """Have everything happen that peers give codes for, and change the channel under it."""
    await c.register(*ALL)
    await c.ready_to_close("trial")
    await c.commit(c.make.close_round())
    await c.commit(c.make.publish_global())
    await race(c)
    await phantom(c)
    alone = await c.endorse("HospitalA", revocation(c, 20), ["HospitalA"])
    assert (await c.order("HospitalA", alone)).code == CODES.ENDORSEMENT_POLICY_FAILURE
    twice = await endorsed_and_applied(c, revocation(c, 21))
    await c.clients["HospitalA"].submit(twice)
    await c.clients["HospitalA"].submit(twice)
    await c.commit(revocation(c, 22))
    await c.commit(revocation(c, 22))  # a repetition
    question = c.clients["HospitalB"].propose([b"query", b"organisations", b"{}"], 0)
    await c.order("HospitalB", await c.clients["HospitalB"].endorse(question))
    await c.network.upgrade()
    await c.network.add_organisation("HospitalD")
    await c.commit(revocation(c, 23))
    return Recorded({msp: await c.blocks_of(msp) for msp in ALL}, c.make.state)


def revocation(c: DirectConsortium, number: int) -> Transaction:
    """A transaction that can be made without end."""
    return c.make.sign("HospitalA/operator", "revoke_member", {"serial": f"{number:x}", "reason": "lost"})


async def endorsed_and_applied(c: DirectConsortium, transaction: Transaction) -> Endorsed:
    """An endorsed transaction that will be admitted."""
    proposal = c.propose("HospitalA", transaction)
    c.make.state.commit(apply(c.make.state, transaction, proposal.time).writes)
    return await c.clients["HospitalA"].endorse(proposal)


async def race(c: DirectConsortium) -> None:
    """The same request is endorsed twice before it is ordered."""
    request = revocation(c, 10)
    first = await endorsed_and_applied(c, request)
    second = await c.endorse("HospitalB", request)
    assert (await c.order("HospitalA", first)).code == CODES.VALID
    assert (await c.order("HospitalB", second)).code == CODES.MVCC_READ_CONFLICT


async def phantom(c: DirectConsortium) -> None:
    """An update comes between the endorsement of a closing and its order."""
    c.make.run = "late"
    await c.commit(c.make.propose_run(grace_ms=0))
    for msp in ALL[1:]:
        await c.commit(c.make.approve_run(msp))
    await c.commit(c.make.publish_global())
    for silo in c.make.layout.silos[:-1]:
        await c.commit(c.make.publish_update(silo))
    closing = await c.endorse("HospitalA", c.make.close_round())
    await c.commit(c.make.publish_update(c.make.layout.silos[-1]))
    assert (await c.order("HospitalA", closing)).code == CODES.PHANTOM_READ_CONFLICT


async def _main(file: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with direct_consortium(Path(directory)) as consortium:
            write_blocks(file, (await record(consortium)).blocks[ALL[0]])


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
