"""The stream of one peer: registration, and its messages to and from the transactions that run for it. I/O; asyncio.

The event loop only carries messages; every transaction runs in a thread. A stream ends when the peer ends it or breaks
the protocol, or after `end`, once every running transaction has its answer. Whatever still runs then is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, Protocol

import structlog
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2
from google.protobuf.message import DecodeError

from chaincode.conversation import Conversation
from chaincode.errors import ProtocolViolation
from chaincode.functions import refused
from chaincode.invocation import DEFECT, completed
from consilo.fabric.receipts import RefusalText

log = structlog.get_logger(__name__)

ChaincodeMessage = chaincode_shim_pb2.ChaincodeMessage

_ENDING: Final = RefusalText(code="defect", message="this peer's chaincode is ending; try another peer", retryable=True)

Run = Callable[[chaincode_shim_pb2.ChaincodeMessage, Conversation], bytes | None]
"""Runs a transaction in the calling thread, to the COMPLETED message, or None when nobody waits for it."""


class Wire(Protocol):
    """What carries a stream's frames."""

    async def read(self) -> bytes | None:
        """The next frame, or None when the peer has ended the stream."""
        ...

    async def write(self, frame: bytes) -> None:
        """Send a frame."""
        ...


class PeerStream:
    """One peer's stream. Make and use it in the event loop.

    Args:
        wire: carries the frames.
        package_id: to register as.
        run: runs a transaction; called in a thread of `executor`.
        executor: bounds how many transactions run at once.
        answer_timeout_seconds: for the peer to answer one request of a transaction.
        registration_timeout_seconds: for the peer to accept the registration.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        package_id: str,
        run: Run,
        executor: Executor,
        answer_timeout_seconds: float,
        registration_timeout_seconds: float,
    ) -> None:
        self._wire = wire
        self._package_id = package_id
        self._run = run
        self._executor = executor
        self._answer_timeout_seconds = answer_timeout_seconds
        self._registration_timeout_seconds = registration_timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._running: dict[tuple[str, str], Conversation] = {}
        self._ending = False
        self.transactions = 0

    async def serve(self) -> None:
        """Serve the peer until the stream ends.

        Raises:
            ProtocolViolation: the peer sent what the protocol does not allow, or did not accept the registration.
        """
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            reader.cancel()
            self._abandon()
            # The writer is not cancelled: gRPC cannot end a stream while a frame is on its way, but leaves it open.
            self._outgoing.put_nowait(None)
            await asyncio.wait((writer,))
        finally:
            reader.cancel()
            writer.cancel()
            self._abandon()
            await asyncio.gather(reader, writer, return_exceptions=True)
        for task in (reader, writer):
            if not task.cancelled():
                task.result()

    def end(self) -> None:
        """Begin no more transactions, and end the stream once those that run have their answers."""
        self._ending = True
        self._end_if_idle()

    async def _read(self) -> None:
        await self._register()
        while (message := await self._next()) is not None:
            match message.type:
                case ChaincodeMessage.RESPONSE | ChaincodeMessage.ERROR:
                    conversation = self._running.get((message.channel_id, message.txid))
                    # Of a transaction that is over, there may be an answer still: it came too late.
                    if conversation is not None:
                        conversation.answered(message)
                case ChaincodeMessage.TRANSACTION | ChaincodeMessage.INIT:
                    self._begin(message)
                case _:
                    log.warning("a message of the peer was ignored", type=message.type, txid=message.txid)

    async def _register(self) -> None:
        own_id = chaincode_pb2.ChaincodeID(name=self._package_id)
        hello = ChaincodeMessage(type=ChaincodeMessage.REGISTER, payload=own_id.SerializeToString())
        self._outgoing.put_nowait(hello.SerializeToString())
        try:
            async with asyncio.timeout(self._registration_timeout_seconds):
                for expected in (ChaincodeMessage.REGISTERED, ChaincodeMessage.READY):
                    message = await self._next()
                    if message is None or message.type != expected:
                        raise ProtocolViolation(f"the peer did not accept the registration as {self._package_id}")
        except TimeoutError:
            raise ProtocolViolation(
                f"the peer did not accept the registration within {self._registration_timeout_seconds} seconds"
            ) from None
        log.info("registered with a peer", package_id=self._package_id)

    async def _next(self) -> chaincode_shim_pb2.ChaincodeMessage | None:
        """The next message that is no sign of life; those are sent back."""
        while (frame := await self._wire.read()) is not None:
            try:
                message = ChaincodeMessage.FromString(frame)
            except DecodeError:
                raise ProtocolViolation(f"a frame of {len(frame)} bytes is no ChaincodeMessage") from None
            if message.type != ChaincodeMessage.KEEPALIVE:
                return message
            self._outgoing.put_nowait(frame)
        return None

    async def _write(self) -> None:
        while (frame := await self._outgoing.get()) is not None:
            await self._wire.write(frame)

    def _begin(self, message: chaincode_shim_pb2.ChaincodeMessage) -> None:
        key = (message.channel_id, message.txid)
        if key in self._running:
            log.warning("the peer sent a transaction that is running", txid=message.txid)
            return
        if self._ending:
            self._outgoing.put_nowait(completed(*key, refused(_ENDING, DEFECT)))
            return
        conversation = Conversation(*key, self._send, answer_timeout_seconds=self._answer_timeout_seconds)
        self._running[key] = conversation
        self.transactions += 1
        self._executor.submit(self._in_thread, message, conversation)

    def _in_thread(self, message: chaincode_shim_pb2.ChaincodeMessage, conversation: Conversation) -> None:
        answer = self._run(message, conversation)
        self._loop.call_soon_threadsafe(self._complete, conversation, answer)

    def _send(self, frame: bytes) -> None:
        self._loop.call_soon_threadsafe(self._outgoing.put_nowait, frame)

    def _complete(self, conversation: Conversation, answer: bytes | None) -> None:
        del self._running[conversation.channel, conversation.txid]
        if answer is not None:
            self._outgoing.put_nowait(answer)
        self._end_if_idle()

    def _abandon(self) -> None:
        for conversation in self._running.values():
            conversation.end()

    def _end_if_idle(self) -> None:
        if self._ending and not self._running:
            self._outgoing.put_nowait(None)
