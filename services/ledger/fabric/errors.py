"""The errors of this package. Pure; no I/O.

FabricError
|- PeerError            a call of a peer failed
|  |- EvaluateError
|  |- EndorseError
|  |- SubmitError
|  |- CommitStatusError
|  '- DeliverError
|- CommitError          a transaction is in a block, but does not count
|- PeerBehind           a peer has fewer blocks than the replica
'- ChainDiffers         a peer has another chain than the replica

What is wrong with the replica's file is a `consilo.embedded.errors.EmbeddedLedgerError`, as for any ledger's file.
"""

from __future__ import annotations

from fabric_protos.peer import transaction_pb2

from services.ledger.fabric.answers import Answer


class FabricError(Exception):
    """Root of the errors of this package."""


class PeerError(FabricError):
    """A call of a peer failed.

    Attributes:
        status: of gRPC, e.g. `UNAVAILABLE`.
        message: in the peer's words, or gRPC's.
        answers: what the peers and orderers said that were asked on behalf of this one.
        transaction_id: Fabric's, of the transaction in question; empty for none.
    """

    what = "a call of a peer"

    def __init__(self, status: str, message: str, answers: tuple[Answer, ...] = (), transaction_id: str = "") -> None:
        reasons = "".join(f"; {answer}" for answer in answers)
        about = f" of transaction {transaction_id}" if transaction_id else ""
        super().__init__(f"{self.what}{about} failed ({status}): {message}{reasons}")
        self.status = status
        self.message = message
        self.answers = answers
        self.transaction_id = transaction_id


class EvaluateError(PeerError):
    """A query failed, or the chaincode said no to it."""

    what = "the evaluation"


class EndorseError(PeerError):
    """Not enough peers endorse the transaction: it was not ordered, and never will be."""

    what = "the endorsement"


class SubmitError(PeerError):
    """The orderers did not take the transaction, or did not say so; it may still be ordered."""

    what = "the handing in"


class CommitStatusError(PeerError):
    """It is not known whether the transaction is in a block, or will be."""

    what = "the wait for the commit"


class DeliverError(PeerError):
    """A peer does not give its blocks. `status` may also be one of `common.Status`, e.g. `FORBIDDEN`."""

    what = "the delivery of blocks"


class CommitError(FabricError):
    """A transaction is in a block, but the peers do not count it.

    Attributes:
        transaction_id: Fabric's.
        code: name of the peers' validation code, e.g. `MVCC_READ_CONFLICT`.
        block: number of the block.
    """

    def __init__(self, transaction_id: str, code: int, block: int) -> None:
        known = transaction_pb2.TxValidationCode
        self.code: str = known.Name(code) if code in known.values() else str(code)
        self.transaction_id = transaction_id
        self.block = block
        super().__init__(f"transaction {transaction_id} in block {block} does not count: {self.code}")


class PeerBehind(FabricError):
    """A peer has fewer blocks than the replica."""


class ChainDiffers(FabricError):
    """A peer's block is not the one that the replica has, or does not follow on it."""
