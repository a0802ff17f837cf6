"""The state that a Fabric peer keeps, as `consilo.protocol.state.State`. Talks to the peer; blocks its thread.

What is read once is remembered for the transaction, for its reads and writes are simulated on one snapshot: a second
look would cost a way to the peer and back, and add nothing to the read set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_shim_pb2

from chaincode.conversation import Conversation
from chaincode.errors import ChaincodeError

ChaincodeMessage = chaincode_shim_pb2.ChaincodeMessage


class PeerState:
    """The state as one transaction sees it.

    All methods raise `StreamBroken` and `PeerError` (see `Conversation.ask`).
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._read: dict[str, bytes | None] = {}

    @property
    def ledger(self) -> str:
        """Name of the channel."""
        return self._conversation.channel

    def get(self, key: str) -> bytes | None:
        """The record's canonical bytes, or None."""
        try:
            return self._read[key]
        except KeyError:
            request = chaincode_shim_pb2.GetState(key=key)
            data = self._conversation.ask(ChaincodeMessage.GET_STATE, request.SerializeToString())
            # A peer tells an absent key by an empty value; no record is empty.
            return self._read.setdefault(key, data or None)

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys and records with start <= key < end, in the order of the keys' UTF-8 bytes; fetched in batches."""
        request = chaincode_shim_pb2.GetStateByRange(startKey=start, endKey=end)
        batch = self._batch(ChaincodeMessage.GET_STATE_BY_RANGE, request.SerializeToString())
        try:
            while True:
                for result in batch.results:
                    found = kv_query_result_pb2.KV.FromString(result.resultBytes)
                    yield found.key, found.value
                if not batch.has_more:
                    return
                following = chaincode_shim_pb2.QueryStateNext(id=batch.id)
                batch = self._batch(ChaincodeMessage.QUERY_STATE_NEXT, following.SerializeToString())
        except GeneratorExit:
            if batch.has_more:
                closing = chaincode_shim_pb2.QueryStateClose(id=batch.id)
                # Only a courtesy: a transaction's iterators end with it.
                with suppress(ChaincodeError):
                    self._conversation.ask(ChaincodeMessage.QUERY_STATE_CLOSE, closing.SerializeToString())
            raise

    def write(self, writes: Mapping[str, bytes]) -> None:
        """Have the peer add writes to the transaction's write set, in their order."""
        for key, data in writes.items():
            request = chaincode_shim_pb2.PutState(key=key, value=data)
            self._conversation.ask(ChaincodeMessage.PUT_STATE, request.SerializeToString())

    def _batch(self, kind: int, request: bytes) -> chaincode_shim_pb2.QueryResponse:
        return chaincode_shim_pb2.QueryResponse.FromString(self._conversation.ask(kind, request))
