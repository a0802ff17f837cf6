"""Other organisations' gateways, asked whether their ledger is the same. Does network I/O.

A peer of Fabric decides for itself which transactions count, and says with its commit hash what its state is. Two
organisations whose commit hashes are the same after a block hold the same state.
"""

from __future__ import annotations

import asyncio

from consilo.api.errors import AnswerInvalid, ApiError
from consilo.api.heads import verify_head
from consilo.api.party import Party
from consilo.fabric.blocks import decode_block
from consilo.fabric.errors import FabricBlockError
from consilo.fabric.lines import decode_line
from consilo.protocol import keys
from consilo.protocol.authority import current_organisation
from consilo.protocol.records import Organisation
from consilo.protocol.state import State
from consilo.protocol.transaction import certificate_der
from consilo.protocol.values import organisation_of
from consilo.verification.comparison import Comparison
from consilo.verification.findings import Finding
from consilo.verification.replay import Mark, Replay


async def compare_with_others(party: Party, replayed: Replay) -> list[Comparison]:
    """Ask every other registered organisation's gateway for its newest block that was replayed here, and compare.

    Each is asked once; one that is away is not waited for.

    Args:
        party: a connected member.
        replayed: the own gateway's ledger, found right.
    """
    own = (await party.gateway.info()).organisations
    others = [
        each
        for each in registered_organisations(replayed.state)
        if each.msp not in own and each.gateway.rstrip("/") != party.gateway.url
    ]
    return list(await asyncio.gather(*(_compare(party, each, replayed) for each in others)))


def registered_organisations(state: State) -> list[Organisation]:
    """All organisations of a state, each as its latest registration says."""
    prefix = "organisation/"
    names = sorted({key.split("/")[1] for key, _ in state.range(prefix, keys.end_of(prefix))})
    found = (current_organisation(state, name) for name in names)
    return [each for each in found if each is not None]


async def _compare(party: Party, organisation: Organisation, replayed: Replay) -> Comparison:
    msp = organisation.msp
    try:
        gateway, _ = await party.gateway_of(msp)
        signed = await gateway.head()
        if organisation_of(signed.signed_by) != msp:
            raise AnswerInvalid(f"its head is signed by {signed.signed_by}")
        verify_head(signed, tuple(certificate_der(root) for root in organisation.roots))
        height = min(signed.head.height, next(reversed(replayed.marks)))
        mark = replayed.marks.get(height)
        if mark is None:
            return Comparison(msp, missed=f"it is at block {signed.head.height}, far behind")
        lines = await gateway.blocks(height, 1)
        if not lines:
            raise AnswerInvalid(f"it does not give block {height}")
        block = decode_block(decode_line(lines[0]))
    except FabricBlockError as error:
        return Comparison(msp, missed=f"its block cannot be read: {error.message}")
    except ApiError as error:
        return Comparison(msp, missed=error.message)
    return Comparison(msp, height, _difference(msp, height, mark, Mark(block.hash, block.commit_hash)))


def _difference(msp: str, height: int, here: Mark, there: Mark) -> Finding | None:
    if there.hash != here.hash:
        message = f"{msp} has another block here, with hash {there.hash}, not {here.hash}: the ledger has split"
        return Finding("head", height, message)
    if None not in (here.commit_hash, there.commit_hash) and there.commit_hash != here.commit_hash:
        message = (
            f"{msp} holds another state after this block: its commit hash is {there.commit_hash}, but "
            f"{here.commit_hash} follows from the blocks"
        )
        return Finding("commit-hash", height, message)
    return None
