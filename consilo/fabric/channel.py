"""A channel, checked block by block from its genesis. Trusts nothing that a peer says. Pure; no I/O.

For each block, in this order; the first that fails is the `code` of the error:

1. `chain`: its number, the hash of the block before, the hash of its data.
2. `form`: each envelope is spelled as orderers spell it, with payload and signature (Fabric hashes the envelopes
   without marking where one ends: two could pass for one, or one for two).
3. `orderer`: the orderers' signatures satisfy the configuration's policy for blocks. The genesis has none: it is what
   everything is derived from, and its hash must be known from elsewhere.
4. `configuration`: a change of the configuration is signed as the present one demands, follows from it, and stands
   alone in its block.
5. Each transaction of the chaincode that is followed, or of the lifecycle, or that writes to the state of these, is
   judged again (`validity`, `versions`), and the peer's code must be the one found: `creator` and `endorsement` when
   one that is called valid is not properly signed for, `reads` when what it read was not current, `flag` when one is
   called invalid for no reason, or for another.
6. `commit-hash`: the peer's commit hash is the one that follows.

Not checked: transactions of other chaincodes (their state is their own affair; the peer's word on them goes into the
commit hash); endorsement policies of single keys, which only other chaincodes could have set; that a change of the
configuration makes sense to orderers. Channels of Fabric 3 with BFT orderers are refused with their configuration.

Memory: keys and versions of the two namespaces, and the ids of all transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from consilo.fabric.blocks import FabricBlock, data_hash, metadata
from consilo.fabric.commit_hash import commit_hash
from consilo.fabric.configuration import Configuration
from consilo.fabric.configuration_updates import next_configuration
from consilo.fabric.errors import BlockWrong, ConfigurationInvalid, FabricBlockError
from consilo.fabric.lifecycle import LIFECYCLE
from consilo.fabric.orderers import check_orderers
from consilo.fabric.readwrite import Accesses, Space
from consilo.fabric.transactions import CONFIG, ENDORSER_TRANSACTION, VALID, FabricTransaction
from consilo.fabric.validity import (
    BAD_CREATOR_SIGNATURE,
    BAD_FORM,
    BAD_PROPOSAL_TXID,
    DUPLICATE_TXID,
    ENDORSEMENT_POLICY_FAILURE,
    MVCC_READ_CONFLICT,
    PHANTOM_READ_CONFLICT,
    Context,
    Invalid,
    accesses_of,
    accords,
    judge,
    name_of,
)
from consilo.fabric.versions import Conflict, Versions

_STEPS: Final = {
    BAD_CREATOR_SIGNATURE: "creator",
    BAD_PROPOSAL_TXID: "creator",
    ENDORSEMENT_POLICY_FAILURE: "endorsement",
    MVCC_READ_CONFLICT: "reads",
    PHANTOM_READ_CONFLICT: "reads",
}
"""Code found for a transaction that is called valid -> the step that its block fails; of all others, `flag`."""

_VALID_BY_ITSELF: Final = (VALID, MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT)


@dataclass(frozen=True)
class Counted:
    """A transaction that counts for the chaincode that is followed.

    Attributes:
        transaction: as the block has it.
        accesses: what it reads and writes, everywhere.
    """

    transaction: FabricTransaction
    accesses: tuple[Accesses, ...]


@dataclass
class _Judged:
    transaction: FabricTransaction
    accesses: tuple[Accesses, ...]
    ours: bool
    code: int
    reason: str = ""


class Channel:
    """A channel as of the last block that was followed.

    Args:
        chaincode: name of the chaincode whose transactions are returned.
    """

    def __init__(self, chaincode: str) -> None:
        self._chaincode = chaincode
        self._followed = frozenset({chaincode, LIFECYCLE})
        self._configuration: Configuration | None = None
        self._block: FabricBlock | None = None
        self._versions = Versions(self._followed)
        self._definitions: dict[bytes, bytes] = {}
        self._ids: set[str] = set()
        self._commit_hash: bytes | None = b""

    @property
    def name(self) -> str:
        """Of the channel; empty before the genesis."""
        return "" if self._configuration is None else self._configuration.channel

    @property
    def commit_hash(self) -> str | None:
        """After the last block, as found here, hexadecimal; None where it cannot be found."""
        return self._commit_hash.hex() if self._commit_hash else None

    def follow(self, block: FabricBlock) -> tuple[Counted, ...]:
        """Check the next block, and take it in.

        Returns:
            The transactions that count for the chaincode that is followed, in order.

        Raises:
            BlockWrong: it is not what comes next. The channel cannot be used after that.
        """
        self._check_chain(block)  # 1.
        self._check_form(block)  # 2.
        try:
            if self._configuration is None:
                self._configuration = _first_configuration(block)
                counted: tuple[Counted, ...] = ()
            else:
                check_orderers(block.raw, self._configuration)  # 3.
                counted = self._next(block, self._configuration)
        except ConfigurationInvalid as error:  # 4.
            raise BlockWrong("configuration", f"its configuration is not admitted: {error.message}") from None
        except FabricBlockError as error:
            raise BlockWrong("form", error.message) from None
        self._ids.update(transaction.id for transaction in block.transactions if transaction.id)
        self._block = block
        return counted

    def _check_chain(self, block: FabricBlock) -> None:
        before = self._block
        number, previous = (0, "") if before is None else (before.number + 1, before.hash)
        if block.number != number:
            raise BlockWrong("chain", f"it says that its number is {block.number}")
        if block.previous != previous:
            raise BlockWrong(
                "chain",
                f"it follows a block with hash {block.previous or 'none'}, but block {number - 1} has {previous}: one "
                "of the two was changed",
            )
        if block.data_hash != data_hash(block.raw):
            raise BlockWrong("chain", "the hash of its data is not the one in its header: a transaction was changed")
        if not block.transactions:
            raise BlockWrong("form", "it has no transaction")

    def _check_form(self, block: FabricBlock) -> None:
        for transaction in block.transactions:
            try:
                envelope = common_pb2.Envelope.FromString(transaction.envelope)
            except DecodeError:
                envelope = common_pb2.Envelope()
            is_whole = bool(envelope.payload and (envelope.signature or block.number == 0))
            if not is_whole or envelope.SerializeToString() != transaction.envelope:
                raise BlockWrong("form", f"transaction {transaction.index} is not spelled as orderers spell one")

    def _next(self, block: FabricBlock, configuration: Configuration) -> tuple[Counted, ...]:
        context = Context(configuration, self._definitions, self._ids)
        configures = any(transaction.type == CONFIG for transaction in block.transactions)
        if configures and len(block.transactions) != 1:
            raise BlockWrong("configuration", "a change of the configuration does not stand alone in it")
        judged = [self._judged(transaction, context) for transaction in block.transactions]  # 5.
        self._judge_together(judged, block.number)
        for each in judged:
            _compare(each)
        if configures:
            self._configuration = next_configuration(configuration, _payload(block.transactions[0]))  # 4.
        self._check_commit_hash(block, judged)  # 6.
        return tuple(
            Counted(each.transaction, each.accesses)
            for each in judged
            if each.code == VALID and each.ours and each.transaction.chaincode != LIFECYCLE
        )

    def _judged(self, transaction: FabricTransaction, context: Context) -> _Judged:
        """A transaction judged by itself. One that is none of ours is taken as the peer judged it."""
        if transaction.type == ENDORSER_TRANSACTION:
            found = accesses_of(transaction.envelope)
            if found is not None:
                name, accesses = found
                written = {each.space.namespace for each in accesses if each.changes}
                if name not in self._followed and not written & self._followed:
                    return _Judged(transaction, accesses, ours=False, code=transaction.code)
        try:
            return _Judged(transaction, judge(transaction.envelope, context), ours=True, code=VALID)
        except Invalid as invalid:
            return _Judged(transaction, (), ours=True, code=invalid.code, reason=str(invalid))

    def _judge_together(self, judged: Sequence[_Judged], number: int) -> None:
        """What depends on the transactions before it in the block."""
        seen: set[str] = set()
        for each in judged:
            if each.code not in _VALID_BY_ITSELF or each.transaction.type != ENDORSER_TRANSACTION:
                continue
            if each.ours and each.transaction.id in seen:
                each.code, each.reason = DUPLICATE_TXID, "a transaction of this id is before it in the block"
                continue
            seen.add(each.transaction.id)
        for each in judged:
            if each.code != VALID or not each.ours:
                continue
            try:
                self._versions.check(each.accesses, number)
            except Conflict as conflict:
                each.code = PHANTOM_READ_CONFLICT if conflict.in_range else MVCC_READ_CONFLICT
                each.reason = str(conflict)
                continue
            self._versions.write(each.accesses, (number, each.transaction.index))
            self._define(each.accesses)

    def _define(self, accesses: tuple[Accesses, ...]) -> None:
        """Take in a change of the chaincodes' definitions: it counts from the next block on."""
        for each in accesses:
            if each.space == Space(LIFECYCLE):
                for key, value in each.writes:
                    if value is None:
                        self._definitions.pop(key, None)
                    else:
                        self._definitions[key] = value

    def _check_commit_hash(self, block: FabricBlock, judged: Sequence[_Judged]) -> None:
        found = None
        if self._commit_hash is not None:
            codes = metadata(block.raw, common_pb2.TRANSACTIONS_FILTER)
            written = [((block.number, each.transaction.index), each.accesses) for each in judged if each.code == VALID]
            found = commit_hash(self._commit_hash, codes, written)
        said = None if block.commit_hash is None else bytes.fromhex(block.commit_hash)
        if found is not None and said not in (None, found):
            message = f"the peer's commit hash is {block.commit_hash}, but {found.hex()} follows from what is in it"
            raise BlockWrong("commit-hash", message)
        self._commit_hash = found if found is not None else said


def _first_configuration(block: FabricBlock) -> Configuration:
    first = block.transactions[0]
    if len(block.transactions) != 1 or first.type != CONFIG:
        raise BlockWrong("configuration", "it is not the genesis of a channel: one configuration, and nothing else")
    return Configuration.of_envelope(first.channel, _payload(first))


def _payload(transaction: FabricTransaction) -> bytes:
    data: bytes = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(transaction.envelope).payload).data
    return data


def _compare(judged: _Judged) -> None:
    """Compare the peer's code with the one found."""
    transaction, code = judged.transaction, judged.code
    if not judged.ours or accords(code, transaction.code):
        return
    which = f"transaction {transaction.index} ({transaction.id[:64] or 'without an id'})"
    said = name_of(transaction.code)
    if transaction.code == VALID:
        raise BlockWrong(_STEPS.get(code, "flag"), f"{which} is called valid, but {judged.reason}")
    if code == VALID:
        raise BlockWrong("flag", f"{which} is called {said}, and nothing is wrong with it")
    found = "malformed" if code == BAD_FORM else name_of(code)
    raise BlockWrong("flag", f"{which} is called {said}, but is {found}: {judged.reason}")
