"""Replay of an embedded ledger: every block is read, and every transaction applied again. Trusts nothing it is given.

The steps, for block 0 and then for each block in turn; the first block that fails one ends the replay:

1. `read`: the source gives the block at all.
2. `form`: it is the canonical JSON of a block (block 0: of a genesis), not larger than the limit.
3. `chain`: name of the ledger, height, hash of the block before; block 0 is the genesis that is expected.
4. `time`: no transaction is earlier than the one before it.
5. `vouched`: the genesis vouches for a registration exactly where the block says so.
6. `transition`: the rules admit the transaction, in the state that all before it left: signature, chain, revocation,
   role, and everything else that `consilo.protocol.apply` looks at; it is on the ledger once.
7. `writes`, `event`: what it wrote and what it made known are what the block says.

Then, if no block failed:

8. `head`: the head that was seen is part of the chain.
9. `state`, `index`: the rows given are exactly the records that the transactions wrote, and where they stand.

Memory: the state, and the largest block. I/O: only that of the iterables; `replay_file` reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from consilo.embedded.blocks import Block, Entry, Genesis, decode_block, decode_genesis, vouched
from consilo.embedded.errors import LedgerCorrupt
from consilo.embedded.file import LedgerFile
from consilo.embedded.positions import Head, Position
from consilo.protocol.apply import apply
from consilo.protocol.canonical import digest
from consilo.protocol.errors import ProtocolError
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.state import DictState, writes_digest
from consilo.verification.findings import Finding

MAX_BLOCK_BYTES: Final = 64 * 2**20
MAX_FINDINGS: Final = 100
"""Of rows that differ from the state; more are counted only."""

StateRows = Iterable[tuple[str, bytes, int]]
EntryRows = Iterable[tuple[str, int, int]]
Progress = Callable[[int, int], None]


@dataclass
class Replay:
    """What a replay came to.

    Attributes:
        head: the last block that is right in itself and in its place, or None when not even the genesis is.
        transactions: how many were applied again.
        state: as of `head`.
        findings: what is wrong, the first bad block first; empty when nothing is.
    """

    head: Head | None = None
    transactions: int = 0
    state: DictState = field(default_factory=lambda: DictState(""))
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def replay(
    blocks: Iterable[bytes],
    *,
    state_rows: StateRows | None = None,
    entry_rows: EntryRows | None = None,
    expected_genesis: str | None = None,
    expected_head: Head | None = None,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    progress: Progress | None = None,
) -> Replay:
    """Replay a ledger.

    Args:
        blocks: the bytes of all blocks, from the genesis on.
        state_rows: key, record and height of the writing block of all records, in any order; None: not compared.
        entry_rows: id, height and index of all transactions, in any order; None: not compared.
        expected_genesis: hash of block 0. Without it a whole ledger that somebody made up can pass.
        expected_head: a head that was seen before. Without it a ledger that was cut off, or whose last block was
            altered by whoever can write blocks, can pass.
        max_block_bytes: of one block.
        progress: called after each block with its height and the number of transactions so far; it may raise.

    Returns:
        What was found. Errors that `blocks` or the rows raise go through, but for `LedgerCorrupt`, a finding.
    """
    run = _Run(expected_genesis, expected_head, max_block_bytes)
    try:
        for height, body in enumerate(blocks):
            run.block(height, body)
            run.reading = height + 1
            if progress is not None:
                progress(height, run.result.transactions)
        run.reading = None
        run.end()
        if state_rows is not None:
            run.compare_state(state_rows)
        if entry_rows is not None:
            run.compare_entries(entry_rows)
    except _Failed as failed:
        run.result.findings.insert(0, failed.finding)
    except LedgerCorrupt as error:  # 1.
        block = run.reading if error.block is None else error.block
        run.result.findings.append(Finding("read", block, error.message))
    return run.result


def replay_file(
    path: Path,
    *,
    expected_genesis: str | None = None,
    expected_head: Head | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Replay a ledger's file, with its state and its index; see `replay`.

    What SQLite finds wrong with the file itself is added as findings of the step `file`.

    Raises:
        EmbeddedLedgerError: the file cannot be opened as a ledger.
    """
    with LedgerFile(path) as file:
        result = replay(
            file.blocks(),
            state_rows=file.state_rows(),
            entry_rows=file.entry_rows(),
            expected_genesis=expected_genesis,
            expected_head=expected_head,
            progress=progress,
        )
        result.findings.extend(Finding("file", None, problem) for problem in file.problems())
    return result


class _Failed(Exception):
    def __init__(self, step: str, block: int | None, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(step, block, message)


class _Run:
    def __init__(self, expected_genesis: str | None, expected_head: Head | None, max_block_bytes: int) -> None:
        self.result = Replay()
        self._expected_genesis = expected_genesis
        self._expected_head = expected_head
        self._max_block_bytes = max_block_bytes
        self.reading: int | None = 0
        self._genesis: Genesis | None = None
        self._time = 0
        self._written: dict[str, int] = {}
        self._positions: dict[str, Position] = {}

    def block(self, height: int, body: bytes) -> None:
        if len(body) > self._max_block_bytes:  # 2.
            raise _Failed("form", height, f"it has {len(body)} bytes; at most {self._max_block_bytes} are read")
        try:
            if self._genesis is None:
                hash_ = self._first(decode_genesis(body), digest(body))
            else:
                hash_ = self._next(self._genesis, decode_block(body), height, digest(body))
        except InvalidInput as error:
            raise _Failed("form", height, f"it cannot be read: {error.message}") from None
        ledger = self.result.state.ledger
        self.result.head = Head(ledger, height, hash_)
        expected = self._expected_head
        if expected is not None and height == expected.height and (ledger, hash_) != (expected.ledger, expected.hash):
            raise _Failed(
                "head", height, f"it is not the block with hash {expected.hash} that was seen here before"
            )  # 8.

    def end(self) -> None:
        head, expected = self.result.head, self._expected_head
        if head is None:
            raise _Failed("read", 0, "there is no block, not even a genesis")
        if expected is not None and head.height < expected.height:  # 8.
            message = (
                f"the ledger ends at block {head.height}, but block {expected.height} was seen: it was rolled back"
            )
            raise _Failed("head", head.height + 1, message)

    def compare_state(self, rows: StateRows) -> None:  # 9.
        records, missing = self.result.state.records, dict(self._written)
        for key, value, height in rows:
            wrote = missing.pop(key, None)
            if wrote is None:
                self._differs("state", None, f"the state has {_shown(key)}, which no block wrote, or has it twice")
            elif records[key] != value:
                self._differs("state", wrote, f"the state has another record at {key} than this block wrote")
            elif wrote != height:
                self._differs("state", wrote, f"the state says that block {height} wrote {key}; this one did")
        for key, wrote in missing.items():
            self._differs("state", wrote, f"the state lacks {key}, which this block wrote")

    def compare_entries(self, rows: EntryRows) -> None:  # 9.
        missing = dict(self._positions)
        for id_, height, index in rows:
            position = missing.pop(id_, None)
            if position is None:
                self._differs("index", None, f"the index has transaction {_shown(id_)}, which is in no block, or twice")
            elif position != Position(height, index):
                self._differs("index", position.height, f"the index says that {id_} stands at {height}.{index}")
        for id_, position in missing.items():
            self._differs("index", position.height, f"the index lacks transaction {id_}, which stands at {position}")

    def _first(self, genesis: Genesis, hash_: str) -> str:
        if self._expected_genesis is not None and hash_ != self._expected_genesis:  # 3.
            raise _Failed("chain", 0, f"the genesis has hash {hash_}, not {self._expected_genesis}: another ledger")
        self._genesis, self._time = genesis, genesis.created_at
        self.result.state = DictState(genesis.ledger)
        return hash_

    def _next(self, genesis: Genesis, block: Block, height: int, hash_: str) -> str:
        assert self.result.head is not None  # noqa: S101 - set with the genesis
        if block.ledger != genesis.ledger:  # 3.
            raise _Failed("chain", height, f"it belongs to ledger {block.ledger}, not {genesis.ledger}")
        if block.height != height:
            raise _Failed("chain", height, f"it says that its height is {block.height}")
        if block.previous != self.result.head.hash:
            message = (
                f"it follows a block with hash {block.previous}, but block {height - 1} has {self.result.head.hash}"
            )
            raise _Failed("chain", height, f"{message}: one of the two was changed")
        for index, entry in enumerate(block.entries):
            self._entry(genesis, entry, Position(height, index))
        return hash_

    def _entry(self, genesis: Genesis, entry: Entry, position: Position) -> None:
        def failed(step: str, message: str) -> _Failed:
            return _Failed(step, position.height, f"transaction {position.index} ({entry.transaction.id}): {message}")

        if entry.time < self._time:  # 4.
            raise failed("time", f"its time {entry.time} is before {self._time}, that of the one before it")
        is_vouched = vouched(genesis, entry.transaction)
        if entry.vouched != is_vouched:  # 5.
            raise failed("vouched", f"vouched is {entry.vouched}; by the genesis it is {is_vouched}")
        try:  # 6.
            outcome = apply(self.result.state, entry.transaction, entry.time, vouched=is_vouched)
        except ProtocolError as error:
            code = f"{error.code}: " if hasattr(error, "code") else ""
            raise failed("transition", f"the rules do not admit it: {code}{error}") from None
        if outcome.event is None:
            raise failed("transition", "the same request is on the ledger before")
        if writes_digest(outcome.writes) != entry.writes:  # 7.
            raise failed("writes", "it writes something else than the block says")
        if outcome.event != entry.event:
            raise failed("event", "its event is another than the block says")
        self._time = entry.time
        self.result.state.commit(outcome.writes)
        self.result.transactions += 1
        for key in outcome.writes:
            self._written[key] = position.height
        self._positions[entry.transaction.id] = position

    def _differs(self, step: str, block: int | None, message: str) -> None:
        findings = self.result.findings
        if len(findings) < MAX_FINDINGS:
            findings.append(Finding(step, block, message))
        elif len(findings) == MAX_FINDINGS:
            findings.append(Finding(step, None, f"more than {MAX_FINDINGS} differences; the rest is not listed"))


def _shown(text: object) -> str:
    return repr(text)[:100]
