"""A transaction's requests to the peer, one after the other. Blocks its thread, never the event loop.

A peer takes one request of a transaction at a time and lets a second one go unanswered, so nothing is gained by asking
ahead: what a transaction costs is the number of its requests times the way there and back. Hence there are two threads
and nothing else on that way: this one and the event loop's.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue

from fabric_protos.peer import chaincode_shim_pb2

from chaincode.errors import PeerError, StreamBroken

ChaincodeMessage = chaincode_shim_pb2.ChaincodeMessage


class Conversation:
    """One transaction's side of a peer's stream.

    Args:
        channel: name of the channel.
        txid: Fabric's id of the transaction.
        send: hands a serialised message to the stream; called from the transaction's thread.
        answer_timeout_seconds: for each answer.
    """

    def __init__(
        self, channel: str, txid: str, send: Callable[[bytes], None], *, answer_timeout_seconds: float
    ) -> None:
        self.channel = channel
        self.txid = txid
        self._send = send
        self._answer_timeout_seconds = answer_timeout_seconds
        self._answers: SimpleQueue[chaincode_shim_pb2.ChaincodeMessage | None] = SimpleQueue()
        self._over = False

    def ask(self, kind: int, payload: bytes) -> bytes:
        """Send a request and wait for its answer; called from the transaction's thread.

        Args:
            kind: a `ChaincodeMessage.Type`, e.g. `ChaincodeMessage.GET_STATE`.
            payload: the serialised request.

        Raises:
            StreamBroken: the peer is gone, or the transaction is over.
            PeerError: it answered with an error, or not in time.
        """
        if self._over:
            raise StreamBroken(f"transaction {self.txid}")
        request = ChaincodeMessage(type=kind, payload=payload, txid=self.txid, channel_id=self.channel)
        self._send(request.SerializeToString())
        try:
            answer = self._answers.get(timeout=self._answer_timeout_seconds)
        except Empty:
            # Its answer may still come, and would be taken for that of a next request.
            self._over = True
            raise PeerError(f"no answer within {self._answer_timeout_seconds} seconds") from None
        if answer is None:
            raise StreamBroken(f"transaction {self.txid}")
        if answer.type == ChaincodeMessage.ERROR:
            raise PeerError(answer.payload.decode(errors="replace"))
        return bytes(answer.payload)

    def answered(self, message: chaincode_shim_pb2.ChaincodeMessage) -> None:
        """Take the peer's answer (RESPONSE or ERROR); called from the event loop."""
        self._answers.put(message)

    def end(self) -> None:
        """Nobody answers any more: whoever waits or asks is told so. From any thread, any number of times."""
        self._over = True
        self._answers.put(None)
