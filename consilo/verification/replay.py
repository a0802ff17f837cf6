"""Replay of a ledger: every block is read, and every transaction applied again. Trusts nothing it is given.

What the kinds of ledgers have in common; `embedded` and `fabric` say what a block of theirs must be. The first block
that fails a step ends the replay. These steps they share:

- `read`: the source gives the block at all.
- `form`: it can be read, and is not larger than the limit.
- `chain`: it follows the block before; block 0 is the genesis that is expected.
- `transition`: the rules admit the transaction, in the state that all before it left: signature, chain, revocation,
  role, and everything else that `consilo.protocol.apply` looks at.
- `writes`, `event`: what it wrote and what it made known are what the block says.
- `head`: the head that was seen is part of the chain.

Memory: the state, and the largest block. I/O: only that of the iterables.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from consilo.embedded.errors import LedgerCorrupt
from consilo.embedded.positions import Head
from consilo.protocol.apply import Outcome, apply
from consilo.protocol.authority import authenticate
from consilo.protocol.canonical import canonical
from consilo.protocol.errors import ProtocolError
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.state import DictState
from consilo.protocol.transaction import Transaction
from consilo.protocol.transitions.table import TRANSITIONS
from consilo.verification.findings import Finding

MAX_BLOCK_BYTES: Final = 64 * 2**20
KEPT_MARKS: Final = 1000
"""Of the last blocks, for comparison with other gateways, which may be behind."""

_SIGNATURES: Final = 2
_TRANSITIONS: Final = 3
_NUMBERS: Final = {
    "creator": _SIGNATURES,
    "endorsement": _SIGNATURES,
    "vouched": _SIGNATURES,
    **dict.fromkeys(
        ("transition", "writes", "event", "receipt", "reads", "flag", "commit-hash", "state", "index"), _TRANSITIONS
    ),
}
"""Step of a replay -> number of the verification's step (`consilo.verification.steps`); of all others, 1."""

B = TypeVar("B")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Mark:
    """By what another gateway's ledger can be told from this one.

    Attributes:
        hash: of the block.
        commit_hash: of the state after it, where the ledger has one.
    """

    hash: str
    commit_hash: str | None


@dataclass
class Replay:
    """What a replay came to.

    Attributes:
        head: the last block that is right in itself and in its place, or None when not even the genesis is.
        transactions: how many were applied again.
        state: as of `head`.
        findings: what is wrong, the first bad block first; empty when nothing is.
        failed_step: number of the verification's step that the first finding belongs to (1, 2 or 3), or None.
        marks: of the last blocks, by height.
    """

    head: Head | None = None
    transactions: int = 0
    state: DictState = field(default_factory=lambda: DictState(""))
    findings: list[Finding] = field(default_factory=list)
    failed_step: int | None = None
    marks: OrderedDict[int, Mark] = field(default_factory=OrderedDict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def fail(self, finding: Finding, number: int | None = None) -> None:
        """Add a finding; `number` is that of the verification's step, where the finding's name does not tell."""
        if self.failed_step is None:
            self.failed_step = number or _NUMBERS.get(finding.step, 1)
        self.findings.append(finding)


class Failed(Exception):
    """A block fails a step.

    Args:
        step: its name.
        block: height of the block, or None.
        message: what is wrong.
        number: of the verification's step, where the name does not tell.
    """

    def __init__(self, step: str, block: int | None, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(step, block, message)
        self.number = number


class BlockReplay(ABC, Generic[B]):
    """The replay of one kind of ledger. Used once.

    Args:
        expected_genesis: hash of block 0. Without it a whole ledger that somebody made up can pass.
        expected_head: a head that was seen before. Without it a ledger that was cut off, or whose last block was
            altered by whoever can write blocks, can pass.
        max_block_bytes: of one block.
    """

    def __init__(
        self,
        *,
        expected_genesis: str | None = None,
        expected_head: Head | None = None,
        max_block_bytes: int = MAX_BLOCK_BYTES,
    ) -> None:
        self.result = Replay()
        self._expected_genesis = expected_genesis
        self._expected_head = expected_head
        self._max_block_bytes = max_block_bytes

    def run(self, blocks: Iterable[bytes], *, progress: Progress | None = None) -> Replay:
        """Replay a ledger.

        Args:
            blocks: the bytes of all blocks, from the genesis on.
            progress: called after each block with its height and the number of transactions so far; it may raise.

        Returns:
            What was found. Errors that `blocks` raises go through, but for `LedgerCorrupt`, a finding.
        """
        reading: int | None = 0
        try:
            for height, body in enumerate(blocks):
                self._block(height, body)
                reading = height + 1
                if progress is not None:
                    progress(height, self.result.transactions)
            reading = None
            self._end()
            self.compare()
        except Failed as failed:
            self.result.fail(failed.finding, failed.number)
        except LedgerCorrupt as error:
            self.result.fail(Finding("read", reading if error.block is None else error.block, error.message))
        return self.result

    @abstractmethod
    def decode(self, height: int, body: bytes) -> tuple[B, str]:
        """Read a block; returns it and its hash.

        Raises:
            Failed: `form`.
        """

    @abstractmethod
    def take(self, height: int, block: B) -> None:
        """Check a block in its place, and apply its transactions. Block 0 sets the state's ledger.

        Raises:
            Failed: it is wrong.
        """

    def compare(self) -> None:
        """Compare whatever else the ledger's source holds, once all blocks are found right. Adds findings."""

    def commit_hash(self) -> str | None:
        """Of the state after the last block, where the kind of ledger has one."""
        return None

    def apply(self, transaction: Transaction, time: int, *, vouched: bool, position: tuple[int, int]) -> Outcome:
        """Apply a transaction to the state; the caller compares the outcome, then commits it.

        Args:
            transaction: the request.
            time: of the transaction.
            vouched: see `consilo.protocol.apply`.
            position: height and index, for messages.

        Raises:
            Failed: `transition`.
        """
        try:
            return apply(self.result.state, transaction, time, vouched=vouched)
        except ProtocolError as error:
            code = f"{error.code}: " if hasattr(error, "code") else ""
            message = f"transaction {position[1]} ({transaction.id}): the rules do not admit it: {code}{error}"
            unauthentic = _is_unauthentic(self.result.state, transaction, time, vouched=vouched)
            raise Failed("transition", position[0], message, _SIGNATURES if unauthentic else _TRANSITIONS) from None

    def _block(self, height: int, body: bytes) -> None:
        if len(body) > self._max_block_bytes:
            raise Failed("form", height, f"it has {len(body)} bytes; at most {self._max_block_bytes} are read")
        block, hash_ = self.decode(height, body)
        if height == 0 and self._expected_genesis not in (None, hash_):
            message = f"the genesis has hash {hash_}, not {self._expected_genesis}: another ledger"
            raise Failed("chain", 0, message)
        self.take(height, block)
        ledger = self.result.state.ledger
        self.result.head = Head(ledger, height, hash_)
        self.result.marks[height] = Mark(hash_, self.commit_hash())
        if len(self.result.marks) > KEPT_MARKS:
            self.result.marks.popitem(last=False)
        expected = self._expected_head
        if expected is not None and height == expected.height and (ledger, hash_) != (expected.ledger, expected.hash):
            raise Failed("head", height, f"it is not the block with hash {expected.hash} that was seen here before")

    def _end(self) -> None:
        head, expected = self.result.head, self._expected_head
        if head is None:
            raise Failed("read", 0, "there is no block, not even a genesis")
        if expected is not None and head.height < expected.height:
            message = (
                f"the ledger ends at block {head.height}, but block {expected.height} was seen: it was rolled back"
            )
            raise Failed("head", head.height + 1, message)


def _is_unauthentic(state: DictState, transaction: Transaction, time: int, *, vouched: bool) -> bool:
    """Whether a transaction that is not admitted was not signed as it must be."""
    transition = TRANSITIONS.get(transaction.payload.type)
    if transition is None:
        return False
    try:
        body = transition.body.decode(canonical(transaction.payload.body))
    except InvalidInput:
        return False
    try:
        authenticate(state, transaction, body, time=time, vouched=vouched)
    except ProtocolError:
        return True
    return False
