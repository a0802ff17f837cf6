"""A client of Fabric's Gateway service on one peer, after the design of the official ones. Calls over a connection.

The caller owns the connection, and makes it inside the running event loop. Every phase has a deadline of its own, and
an error that carries the transaction's id. Nothing is tried twice here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc

from services.ledger.fabric.answers import answers_in
from services.ledger.fabric.errors import (
    CommitStatusError,
    EndorseError,
    EvaluateError,
    PeerError,
    SubmitError,
)
from services.ledger.fabric.messages import (
    NONCE_BYTES,
    Endorsed,
    Proposal,
    commit_status_request,
    propose,
    read_endorsed,
    signed_transaction,
)
from services.ledger.fabric.signing import ClientIdentity


@dataclass(frozen=True)
class Deadlines:
    """How long to wait for each phase, in seconds."""

    evaluate_seconds: float
    endorse_seconds: float
    submit_seconds: float
    commit_status_seconds: float


@dataclass(frozen=True)
class CommitStatus:
    """Where a transaction stands.

    Attributes:
        block: number of its block.
        code: the peers' validation code; 0 counts.
    """

    block: int
    code: int


class GatewayClient:
    """Calls of one chaincode on one channel.

    Args:
        connection: to the peer; stays the caller's.
        identity: signs.
        channel: name of the channel.
        chaincode: name of the chaincode.
        deadlines: of the phases.
    """

    def __init__(
        self,
        connection: grpc.aio.Channel,
        identity: ClientIdentity,
        *,
        channel: str,
        chaincode: str,
        deadlines: Deadlines,
    ) -> None:
        self._stub = gateway_pb2_grpc.GatewayStub(connection)
        self._identity = identity
        self._channel = channel
        self._chaincode = chaincode
        self._deadlines = deadlines

    def propose(self, arguments: Sequence[bytes], time: int) -> Proposal:
        """Make a proposal of a new transaction; sends nothing.

        Args:
            arguments: of the call; the first is the function's name.
            time: of the transaction, milliseconds since 1970-01-01 UTC.
        """
        return propose(
            self._identity,
            channel=self._channel,
            chaincode=self._chaincode,
            arguments=arguments,
            time=time,
            nonce=secrets.token_bytes(NONCE_BYTES),
        )

    async def evaluate(self, proposal: Proposal, organisations: Sequence[str] = ()) -> bytes:
        """Ask one peer what a call answers; nothing is ordered.

        Args:
            proposal: of the call.
            organisations: MSP ids of those whose peers may be asked; default: of any.

        Raises:
            EvaluateError: there is no answer, or it is a refusal.
        """
        request = gateway_pb2.EvaluateRequest(
            transaction_id=proposal.transaction_id,
            channel_id=self._channel,
            proposed_transaction=proposal.signed,
            target_organizations=list(organisations),
        )
        answer = await self._call(
            self._stub.Evaluate, request, self._deadlines.evaluate_seconds, EvaluateError, proposal.transaction_id
        )
        payload: bytes = answer.result.payload
        return payload

    async def endorse(self, proposal: Proposal, organisations: Sequence[str] = ()) -> Endorsed:
        """Collect as many endorsements as the chaincode's policy demands.

        Args:
            proposal: of the transaction.
            organisations: MSP ids of those whose peers must endorse; default: the gateway service chooses.

        Raises:
            EndorseError: they are not to be had.
        """
        request = gateway_pb2.EndorseRequest(
            transaction_id=proposal.transaction_id,
            channel_id=self._channel,
            proposed_transaction=proposal.signed,
            endorsing_organizations=list(organisations),
        )
        answer = await self._call(
            self._stub.Endorse, request, self._deadlines.endorse_seconds, EndorseError, proposal.transaction_id
        )
        try:
            return read_endorsed(proposal.transaction_id, answer.prepared_transaction)
        except ValueError as error:
            raise EndorseError("DATA_LOSS", str(error), (), proposal.transaction_id) from None

    async def submit(self, endorsed: Endorsed) -> None:
        """Sign the transaction and hand it to the orderers. That they took it does not mean that it will be ordered.

        Raises:
            SubmitError: they did not, or did not say so.
        """
        request = gateway_pb2.SubmitRequest(
            transaction_id=endorsed.transaction_id,
            channel_id=self._channel,
            prepared_transaction=signed_transaction(self._identity, endorsed),
        )
        await self._call(
            self._stub.Submit, request, self._deadlines.submit_seconds, SubmitError, endorsed.transaction_id
        )

    async def commit_status(self, transaction_id: str) -> CommitStatus:
        """Wait until the peer has the transaction in a block.

        Raises:
            CommitStatusError: it has not, in time; or it cannot be asked.
        """
        request = commit_status_request(self._identity, channel=self._channel, transaction_id=transaction_id)
        answer = await self._call(
            self._stub.CommitStatus, request, self._deadlines.commit_status_seconds, CommitStatusError, transaction_id
        )
        return CommitStatus(block=answer.block_number, code=answer.result)

    async def _call(
        self, method: Any, request: Any, deadline_seconds: float, error_type: type[PeerError], transaction_id: str
    ) -> Any:
        try:
            return await method(request, timeout=deadline_seconds)
        except grpc.aio.AioRpcError as error:
            answers = answers_in(error.trailing_metadata() or ())
            raise error_type(error.code().name, error.details() or "", answers, transaction_id) from None
