"""Replay of an embedded ledger.

The steps, for block 0 and then for each block in turn; the first block that fails one ends the replay:

1. `read`: the source gives the block at all.
2. `form`: it is the canonical JSON of a block (block 0: of a genesis), not larger than the limit.
3. `chain`: name of the ledger, height, hash of the block before; block 0 is the genesis that is expected.
4. `time`: no transaction is earlier than the one before it.
5. `vouched`: the genesis vouches for a registration exactly where the block says so.
6. `transition`: the rules admit the transaction, in the state that all before it left; it is on the ledger once.
7. `writes`, `event`: what it wrote and what it made known are what the block says.

Then, if no block failed:

8. `head`: the head that was seen is part of the chain.
9. `state`, `index`: the rows given are exactly the records that the transactions wrote, and where they stand.

Memory: the state, and the largest block. I/O: only that of the iterables; `replay_file` reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from consilo.embedded.blocks import Block, Entry, Genesis, decode_block, decode_genesis, vouched
from consilo.embedded.file import LedgerFile
from consilo.embedded.positions import Head, Position
from consilo.protocol.canonical import digest
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.state import DictState, writes_digest
from consilo.verification.findings import Finding
from consilo.verification.replay import MAX_BLOCK_BYTES, BlockReplay, Failed, Progress, Replay

MAX_FINDINGS: Final = 100
"""Of rows that differ from the state; more are counted only."""

StateRows = Iterable[tuple[str, bytes, int]]
EntryRows = Iterable[tuple[str, int, int]]


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
    """Replay an embedded ledger.

    Args:
        blocks: the bytes of all blocks, from the genesis on.
        state_rows: key, record and height of the writing block of all records, in any order; None: not compared.
        entry_rows: id, height and index of all transactions, in any order; None: not compared.
        expected_genesis: see `BlockReplay`, as for the next two.
        expected_head: a head that was seen before.
        max_block_bytes: of one block.
        progress: see `BlockReplay.run`.

    Returns:
        What was found. Errors that `blocks` or the rows raise go through, but for `LedgerCorrupt`, a finding.
    """
    run = EmbeddedReplay(
        state_rows=state_rows,
        entry_rows=entry_rows,
        expected_genesis=expected_genesis,
        expected_head=expected_head,
        max_block_bytes=max_block_bytes,
    )
    return run.run(blocks, progress=progress)


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
        for problem in file.problems():
            result.fail(Finding("file", None, problem))
    return result


class EmbeddedReplay(BlockReplay["Genesis | Block"]):
    """See `replay`."""

    def __init__(
        self, *, state_rows: StateRows | None = None, entry_rows: EntryRows | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._state_rows = state_rows
        self._entry_rows = entry_rows
        self._genesis: Genesis | None = None
        self._time = 0
        self._written: dict[str, int] = {}
        self._positions: dict[str, Position] = {}

    def decode(self, height: int, body: bytes) -> tuple[Genesis | Block, str]:
        """See `BlockReplay`."""
        try:
            return (decode_genesis(body) if height == 0 else decode_block(body)), digest(body)  # 2.
        except InvalidInput as error:
            raise Failed("form", height, f"it cannot be read: {error.message}") from None

    def take(self, height: int, block: Genesis | Block) -> None:
        """See `BlockReplay`."""
        if isinstance(block, Genesis):
            self._genesis, self._time = block, block.created_at
            self.result.state = DictState(block.ledger)
            return
        head, genesis = self.result.head, self._genesis
        assert head is not None and genesis is not None  # noqa: S101, PT018 - set with the genesis
        if block.ledger != genesis.ledger:  # 3.
            raise Failed("chain", height, f"it belongs to ledger {block.ledger}, not {genesis.ledger}")
        if block.height != height:
            raise Failed("chain", height, f"it says that its height is {block.height}")
        if block.previous != head.hash:
            message = f"it follows a block with hash {block.previous}, but block {height - 1} has {head.hash}"
            raise Failed("chain", height, f"{message}: one of the two was changed")
        for index, entry in enumerate(block.entries):
            self._entry(genesis, entry, Position(height, index))

    def compare(self) -> None:
        """Compare the rows, if any were given."""
        if self._state_rows is not None:
            self._compare_state(self._state_rows)
        if self._entry_rows is not None:
            self._compare_entries(self._entry_rows)

    def _entry(self, genesis: Genesis, entry: Entry, position: Position) -> None:
        def failed(step: str, message: str) -> Failed:
            return Failed(step, position.height, f"transaction {position.index} ({entry.transaction.id}): {message}")

        if entry.time < self._time:  # 4.
            raise failed("time", f"its time {entry.time} is before {self._time}, that of the one before it")
        is_vouched = vouched(genesis, entry.transaction)
        if entry.vouched != is_vouched:  # 5.
            raise failed("vouched", f"vouched is {entry.vouched}; by the genesis it is {is_vouched}")
        outcome = self.apply(  # 6.
            entry.transaction, entry.time, vouched=is_vouched, position=(position.height, position.index)
        )
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

    def _compare_state(self, rows: StateRows) -> None:  # 9.
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

    def _compare_entries(self, rows: EntryRows) -> None:  # 9.
        missing = dict(self._positions)
        for id_, height, index in rows:
            position = missing.pop(id_, None)
            if position is None:
                self._differs("index", None, f"the index has transaction {_shown(id_)}, which is in no block, or twice")
            elif position != Position(height, index):
                self._differs("index", position.height, f"the index says that {id_} stands at {height}.{index}")
        for id_, position in missing.items():
            self._differs("index", position.height, f"the index lacks transaction {id_}, which stands at {position}")

    def _differs(self, step: str, block: int | None, message: str) -> None:
        findings = self.result.findings
        if len(findings) < MAX_FINDINGS:
            self.result.fail(Finding(step, block, message))
        elif len(findings) == MAX_FINDINGS:
            findings.append(Finding(step, None, f"more than {MAX_FINDINGS} differences; the rest is not listed"))


def _shown(text: object) -> str:
    return repr(text)[:100]
