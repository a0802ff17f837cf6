"""A client of a peer's Deliver service: the blocks of a channel, as they are kept. Calls over a connection."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2, events_pb2_grpc

from consilo.api.gateway import now_ms
from services.ledger.fabric.errors import DeliverError
from services.ledger.fabric.messages import LAST_NUMBER, NONCE_BYTES, seek_blocks, seek_newest
from services.ledger.fabric.signing import ClientIdentity

Blocks = AsyncGenerator[bytes, None]
"""Blocks, serialised. Close it to end the call (`contextlib.aclosing`)."""


class BlockClient:
    """Blocks of one channel from one peer. The caller owns the connection.

    Args:
        connection: to the peer.
        identity: signs.
        channel: name of the channel.
        deadline_seconds: for blocks that are there.
    """

    def __init__(
        self, connection: grpc.aio.Channel, identity: ClientIdentity, *, channel: str, deadline_seconds: float
    ) -> None:
        self._stub = events_pb2_grpc.DeliverStub(connection)
        self._identity = identity
        self._channel = channel
        self._deadline_seconds = deadline_seconds

    async def newest(self) -> bytes:
        """The newest block that the peer has, serialised.

        Raises:
            DeliverError: it does not give it.
        """
        request = seek_newest(self._identity, channel=self._channel, time=now_ms(), nonce=_nonce())
        async with aclosing(self._deliver(request, self._deadline_seconds)) as blocks:
            async for block in blocks:
                return block
        raise DeliverError("NOT_FOUND", "the peer has no block of the channel")

    async def blocks(self, first: int, last: int) -> Blocks:
        """Blocks that the peer has, in order, serialised.

        Raises:
            DeliverError: it does not give them; `NOT_FOUND` where it has no more.
        """
        request = self._seek(first, last)
        async with aclosing(self._deliver(request, self._deadline_seconds)) as blocks:
            async for block in blocks:
                yield block

    async def follow(self, first: int) -> Blocks:
        """Blocks from a number on, in order, serialised: those that are there, then each as it comes, without end.

        Raises:
            DeliverError: the peer does not give them, or stopped giving them.
        """
        async with aclosing(self._deliver(self._seek(first, LAST_NUMBER), None)) as blocks:
            async for block in blocks:
                yield block
        raise DeliverError("OK", "the peer ended the stream of blocks")

    def _seek(self, first: int, last: int) -> common_pb2.Envelope:
        return seek_blocks(self._identity, channel=self._channel, first=first, last=last, time=now_ms(), nonce=_nonce())

    async def _deliver(self, request: common_pb2.Envelope, deadline_seconds: float | None) -> Blocks:
        call = self._stub.Deliver(timeout=deadline_seconds)
        try:
            await call.write(request)
            while (response := await call.read()) is not grpc.aio.EOF:
                if response.WhichOneof("Type") != "block":
                    _check(response)
                    return
                yield response.block.SerializeToString()
        except grpc.aio.AioRpcError as error:
            raise DeliverError(error.code().name, error.details() or "") from None
        finally:
            call.cancel()  # the peer waits for a next request otherwise


def _check(response: events_pb2.DeliverResponse) -> None:
    if response.status != common_pb2.SUCCESS:
        raise DeliverError(common_pb2.Status.Name(response.status), "")


def _nonce() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)
