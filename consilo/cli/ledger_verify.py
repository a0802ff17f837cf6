"""`consilo ledger verify`: every block of a ledger, replayed. Network or file I/O; writes to standard output."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from consilo.api.models import Head
from consilo.cli.commands import connected
from consilo.cli.exits import FOUND, USAGE, CliError
from consilo.cli.output import console, print_json, print_lines
from consilo.cli.session import Session
from consilo.embedded.file import LedgerFile
from consilo.protocol.canonical import digest
from consilo.verification.chain import LedgerReplay, replay_ledger
from consilo.verification.comparison import Comparison
from consilo.verification.embedded import replay
from consilo.verification.findings import Finding
from consilo.verification.replay import Replay

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

GenesisOption = Annotated[
    str | None,
    typer.Option(
        "--genesis",
        help="Hash that the ledger's first block must have; on Fabric, that of the channel's genesis.",
        metavar="HASH",
        show_default=False,
    ),
]


@connected
def verify_ledger(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Option(help="Verify this file of an embedded ledger, instead of a gateway.", show_default=False),
    ] = None,
    expect_head: Annotated[
        str | None,
        typer.Option(
            help="Hash of a block that must be there, as noted down earlier.", metavar="HASH", show_default=False
        ),
    ] = None,
    genesis: GenesisOption = None,
) -> None:
    """Replay a whole ledger, and name the first bad block.

    Checks each block's hash, each signature, each transaction's writes; of a file, also its state and index. On
    Fabric, also the orderers' and endorsers' signatures, the peer's word on which transactions count, and whether
    the gateways of other organisations hold the same state.

    Exit code 3 when something is wrong. Of a gateway, the newest block that earlier commands saw must
    be there too. Of a file, only --expect-head tells that it was not cut off or replaced as a whole. Whoever never
    saw the ledger before should have --genesis from somebody they trust.

    Example:
      consilo ledger verify
      consilo ledger verify --file ledger.sqlite --expect-head 5f1c0a9e...
    """
    check_hash("--expect-head", expect_head)
    check_hash("--genesis", genesis)
    others: tuple[Comparison, ...] = ()
    with _bar(hidden=session.as_json) as on_block:
        if file is not None:
            result = _verify_file(file, expect_head, genesis, on_block)
        else:
            replayed = _verify_gateway(session, expect_head, genesis, on_block)
            result, others = replayed.replay, replayed.others
    _print(session, result, others)
    if not result.ok:
        raise typer.Exit(FOUND)


def check_hash(option: str, value: str | None) -> None:
    """Check that what was given for an option is a hash.

    Raises:
        CliError: `hash-malformed`.
    """
    if value is not None and _DIGEST.fullmatch(value) is None:
        raise CliError("hash-malformed", f"{option} is 64 hexadecimal digits in lower case", exit_code=USAGE)


def _verify_file(
    file: Path, expect_head: str | None, genesis: str | None, on_block: Callable[[int, int], None]
) -> Replay:
    with LedgerFile(file) as opened:
        total = sum(1 for _ in opened.entry_rows())
        hashes = _Hashes(expect_head)
        result = replay(
            hashes.watching(opened.blocks()),
            state_rows=opened.state_rows(),
            entry_rows=opened.entry_rows(),
            expected_genesis=genesis,
            progress=lambda _, transactions: on_block(transactions, total),
        )
        for problem in opened.problems():
            result.fail(Finding("file", None, problem))
    hashes.check(result)
    return result


def _verify_gateway(
    session: Session, expect_head: str | None, genesis: str | None, on_block: Callable[[int, int], None]
) -> LedgerReplay:
    seen = session.remembered()
    hashes = _Hashes(expect_head)
    replayed = session.call(
        lambda party: replay_ledger(party, seen=seen, genesis=genesis, on_block=on_block, on_hash=hashes.note)
    )
    hashes.check(replayed.replay)
    return replayed


class _Hashes:
    """Looks for the block of one hash."""

    def __init__(self, wanted: str | None) -> None:
        self._wanted = wanted
        self._found = wanted is None

    def note(self, hash_: str) -> None:
        self._found = self._found or hash_ == self._wanted

    def watching(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.note(digest(block))
            yield block

    def check(self, result: Replay) -> None:
        if not self._found and result.ok:
            message = f"no block has the expected hash {self._wanted}: the ledger was cut off or replaced"
            result.fail(Finding("head", None, message))


def _print(session: Session, result: Replay, others: Sequence[Comparison]) -> None:
    head = None if result.head is None else Head(**vars(result.head))
    first = next((finding.block for finding in result.findings if finding.block is not None), None)
    if session.as_json:
        value: dict[str, Any] = {
            "ok": result.ok,
            "head": None if head is None else head.model_dump(mode="json"),
            "transactions": result.transactions,
            "first_bad_block": first,
            "findings": [{"step": f.step, "block": f.block, "message": f.message} for f in result.findings],
            "others": [{"msp": each.msp, "height": each.height, "missed": each.missed} for each in others],
        }
        print_json(value)
        return
    print_lines(*(f"wrong: {finding}" for finding in result.findings))
    print_lines(*(f"{each.msp} was not compared: {each.missed}" for each in others if each.missed is not None))
    reached = "" if head is None else f"blocks 0 to {head.height} of ledger {head.ledger}, head {head.hash}"
    if result.ok:
        print_lines(f"Everything holds: {reached}, {result.transactions} transactions.")
        if same := [f"{each.msp} (block {each.height})" for each in others if each.height is not None]:
            print_lines(f"The same state is held by {', '.join(same)}.")
    elif first is not None:
        print_lines(f"The first bad block is {first}.")
    else:
        print_lines(f"The blocks hold, the rest does not: {reached}." if head else "Nothing holds.")


@contextmanager
def _bar(*, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, if it is a terminal."""
    screen = console(error=True)
    bar = ProgressBar(
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        console=screen,
        transient=True,
        disable=hidden or not screen.is_terminal,
    )
    task = bar.add_task("", total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)
