"""Whether a peer is good: it answers, has the chaincode, and its chain is the replica's. Calls the peer."""

from __future__ import annotations

from contextlib import aclosing

from consilo.api.gateway import now_ms
from consilo.fabric.blocks import FabricBlock, FabricBlockError, decode_block
from consilo.protocol.queries import OfOrganisation
from services.ledger.fabric.errors import ChainDiffers, DeliverError, EvaluateError, PeerBehind
from services.ledger.fabric.peers import Peer
from services.ledger.fabric.replica_file import Tip


async def probe(peer: Peer, tip: Tip | None) -> int:
    """Find out that a peer is good.

    Args:
        peer: to be asked.
        tip: the newest block of the replica.

    Returns:
        The number of the peer's newest block.

    Raises:
        FabricError: it is not good.
    """
    await _has_chaincode(peer)
    newest = decoded(await peer.blocks.newest())
    if tip is None:
        return newest.number
    if newest.number < tip.height:
        raise PeerBehind(f"its newest block is {newest.number}, the replica's {tip.height}: it has to catch up")
    same = newest if newest.number == tip.height else await _block(peer, tip.height)
    if same.hash != tip.hash:
        raise ChainDiffers(
            f"its block {tip.height} is not the one that the replica has: it is of another network, or one of them was "
            "set back. If the peer is right, remove the gateway's state_file: it is built anew"
        )
    return newest.number


def decoded(block: bytes) -> FabricBlock:
    """A block of a peer.

    Raises:
        DeliverError: the bytes are none.
    """
    try:
        return decode_block(block)
    except FabricBlockError as error:
        raise DeliverError("DATA_LOSS", error.message) from None


async def _has_chaincode(peer: Peer) -> None:
    arguments = [b"query", b"organisation", OfOrganisation(msp=peer.msp).encode()]
    try:
        await peer.gateway.evaluate(peer.gateway.propose(arguments, now_ms()), [peer.msp])
    except EvaluateError as error:
        # That the organisation is not registered is an answer of the right chaincode, too.
        codes = {answer.refusal.code for answer in error.answers if answer.refusal is not None}
        if codes != {"organisation-unknown"}:
            raise


async def _block(peer: Peer, number: int) -> FabricBlock:
    async with aclosing(peer.blocks.blocks(number, number)) as blocks:
        async for block in blocks:
            return decoded(block)
    raise DeliverError("NOT_FOUND", f"the peer does not give its block {number}")
