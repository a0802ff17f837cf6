"""Replay of a ledger on a Fabric channel.

The steps, for each block in turn; the first block that fails one ends the replay:

1. `read`: the source gives the block at all.
2. `form`, `chain`, `orderer`, `configuration`, `creator`, `endorsement`, `reads`, `flag`, `commit-hash`: the block is
   right as a block of the channel, and the peer's word on which of its transactions count is right
   (`consilo.fabric.channel`, which also says what cannot be checked).

Then, for each transaction of the chaincode that counts:

3. `transition`: the rules admit it, at the time of its header, in the state that all before it left. The channel
   vouches that its sender speaks for the organisation whose MSP certified the sender.
4. `writes`, `event`, `receipt`: what was endorsed is what the rules make of it, and nothing else: what it wrote, the
   event, and the response. A request that was on the ledger before writes nothing.

5. `head`: the head that was seen is part of the chain.

Memory: the state, its versions, the ids of all transactions, and the largest block. Pure; no I/O.
"""

from __future__ import annotations

from typing import Any, Final

from consilo.fabric.blocks import FabricBlock, decode_block
from consilo.fabric.channel import Channel, Counted
from consilo.fabric.errors import BlockWrong, FabricBlockError
from consilo.fabric.readwrite import Space
from consilo.fabric.receipts import Receipt
from consilo.protocol import keys
from consilo.protocol.apply import Outcome
from consilo.protocol.canonical import MAX_BYTES, MAX_INTEGER
from consilo.protocol.records import Applied
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.state import DictState, read
from consilo.protocol.transaction import Transaction
from consilo.protocol.values import organisation_of
from consilo.verification.replay import BlockReplay, Failed

CHAINCODE: Final = "consilo"
"""Name of the chaincode."""

_SUBMIT: Final = b"submit"
_OK: Final = 200


class FabricReplay(BlockReplay[FabricBlock]):
    """See this module, and `BlockReplay`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._channel = Channel(CHAINCODE)

    def decode(self, height: int, body: bytes) -> tuple[FabricBlock, str]:
        """See `BlockReplay`."""
        try:
            block = decode_block(body)
        except FabricBlockError as error:
            raise Failed("form", height, f"it cannot be read: {error.message}") from None
        return block, block.hash

    def take(self, height: int, block: FabricBlock) -> None:
        """See `BlockReplay`."""
        try:
            counted = self._channel.follow(block)  # 2.
        except BlockWrong as wrong:
            raise Failed(wrong.code, height, wrong.message) from None
        if height == 0:
            self.result.state = DictState(self._channel.name)
        for each in counted:
            self._transaction(each, height)

    def commit_hash(self) -> str | None:
        """See `BlockReplay`."""
        return self._channel.commit_hash

    def _transaction(self, counted: Counted, height: int) -> None:
        transaction = counted.transaction
        request = _request(counted)

        def failed(step: str, message: str) -> Failed:
            id_ = transaction.id if request is None else request.id
            return Failed(step, height, f"transaction {transaction.index} ({id_}): {message}")

        if request is None:
            if any(each.changes for each in counted.accesses) or transaction.event is not None:
                raise failed("writes", "it changes the state, or makes something known, and is no `submit`")
            return
        if not 0 <= transaction.time <= MAX_INTEGER:
            raise failed("transition", f"its time is {transaction.time} ms, which is no point in time")
        vouched = transaction.creator_msp == organisation_of(request.payload.member)
        outcome = self.apply(request, transaction.time, vouched=vouched, position=(height, transaction.index))  # 3.
        if not _writes_only(counted, outcome):  # 4.
            raise failed("writes", "it writes something else than the rules make of it")
        expected = None if outcome.event is None else outcome.event.encode()
        if transaction.event != expected or transaction.event_name not in (None, CHAINCODE):
            raise failed("event", "its event is another than the rules make of it")
        if transaction.status != _OK or transaction.response != self._receipt(request, outcome, transaction.time):
            raise failed("receipt", "its response is another than the rules make of it")
        if not outcome.repeated:
            self.result.state.commit(outcome.writes)
            self.result.transactions += 1

    def _receipt(self, request: Transaction, outcome: Outcome, time: int) -> bytes:
        applied = read(self.result.state, keys.transaction(request.id), Applied)
        time = time if applied is None else applied.applied_at
        return Receipt(transaction=request.id, time=time, repeated=outcome.repeated).encode()


def _request(counted: Counted) -> Transaction | None:
    """What a call of `submit` asks for; None for another call, or one that asks for nothing that can be read."""
    transaction = counted.transaction
    if transaction.chaincode != CHAINCODE or len(transaction.arguments) != 2 or transaction.arguments[0] != _SUBMIT:
        return None
    try:
        return Transaction.parse(transaction.arguments[1], max_bytes=MAX_BYTES)
    except InvalidInput:
        return None


def _writes_only(counted: Counted, outcome: Outcome) -> bool:
    """Whether exactly the outcome's writes were endorsed, each once, and nothing elsewhere."""
    written: list[tuple[bytes, bytes | None]] = []
    for each in counted.accesses:
        if each.space == Space(CHAINCODE) and not each.writes_metadata:
            written += each.writes
        elif each.changes:
            return False
    return sorted(key for key, _ in written) == sorted(key.encode() for key in outcome.writes) and dict(written) == {
        key.encode(): value for key, value in outcome.writes.items()
    }
