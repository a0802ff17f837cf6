"""One transaction from the peer's message to the answer, whatever happens. Talks to the peer; blocks its thread.

Payloads, records and messages of unforeseen exceptions (they may quote both) are never logged.
"""

from __future__ import annotations

import traceback
from time import perf_counter

import structlog
from fabric_protos.peer import chaincode_shim_pb2

from chaincode.conversation import Conversation
from chaincode.errors import PeerError, StreamBroken
from chaincode.functions import Functions, refused
from chaincode.invocation import DEFECT, Answer, completed, read_invocation
from chaincode.peer_state import PeerState
from consilo.fabric.receipts import RefusalText
from consilo.protocol.errors import ProtocolError

log = structlog.get_logger(__name__)


def run_transaction(
    message: chaincode_shim_pb2.ChaincodeMessage, conversation: Conversation, functions: Functions
) -> bytes | None:
    """Run a transaction to its end.

    Returns:
        The serialised COMPLETED message, or None when the peer is gone and nobody waits for it. Raises nothing.
    """
    start = perf_counter()
    try:
        answer = _answer(message, conversation, functions)
        milliseconds = round((perf_counter() - start) * 1000, 2)
        log.debug(
            "a transaction has its answer", txid=conversation.txid, status=answer.status, milliseconds=milliseconds
        )
        return completed(conversation.channel, conversation.txid, answer)
    except StreamBroken:
        return None
    except PeerError as error:
        log.warning("the peer failed a transaction", reason=str(error), txid=conversation.txid)
        return _failed(conversation, "the peer did not give the state that the transaction reads", retryable=True)
    except Exception as error:
        # Not `exception`, which would quote messages.
        log.error("a transaction failed by a defect", txid=conversation.txid, defect=describe(error))  # noqa: TRY400
        return _failed(conversation, "a defect; the log of the chaincode's server has the details", retryable=False)
    finally:
        conversation.end()


def describe(error: BaseException) -> list[str]:
    """An exception and its causes: types and places, without what was in variables and most messages."""
    told: list[str] = []
    current: BaseException | None = error
    while current is not None:
        name = type(current).__qualname__
        told.append(f"{name}: {current}" if isinstance(current, ProtocolError) else name)
        frames = traceback.extract_tb(current.__traceback__)
        told += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return told


def _answer(message: chaincode_shim_pb2.ChaincodeMessage, conversation: Conversation, functions: Functions) -> Answer:
    state = PeerState(conversation)
    answer = functions.answer(read_invocation(message), state)
    state.write(answer.writes)
    return answer


def _failed(conversation: Conversation, what: str, *, retryable: bool) -> bytes:
    text = RefusalText(code="defect", message=f"transaction {conversation.txid}: {what}", retryable=retryable)
    return completed(conversation.channel, conversation.txid, refused(text, DEFECT))
