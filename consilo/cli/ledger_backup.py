"""`consilo ledger backup`: a copy of an embedded ledger's file, also while it is in use. File I/O; writes to stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consilo.cli.commands import local
from consilo.cli.output import print_json, print_lines
from consilo.cli.session import Session
from consilo.embedded.blocks import decode_genesis
from consilo.embedded.file import LedgerFile
from consilo.protocol.canonical import digest


@local
def backup(
    session: Session,
    file: Annotated[Path, typer.Option(help="The ledger's file; a service may have it open.", show_default=False)],
    output: Annotated[Path, typer.Option(help="File to write; must not be there yet.", show_default=False)],
) -> None:
    """Copy an embedded ledger as it is now into a new file.

    The copy is complete or not there at all. Keep the hash of its newest block apart from it: it tells a copy that was
    cut off or replaced.

    Example:
      consilo ledger backup --file ledger.sqlite --output ledger-backup.sqlite
    """
    with LedgerFile(file) as opened:
        opened.back_up(output)
    ledger, height, body = "", 0, b""
    with LedgerFile(output) as copy:  # of the copy: what it tells is what was kept
        for height, body in enumerate(copy.blocks()):
            ledger = decode_genesis(body).ledger if height == 0 else ledger
    hash_ = digest(body)
    if session.as_json:
        print_json({"file": str(output), "ledger": ledger, "height": height, "hash": hash_})
        return
    print_lines(f"Ledger {ledger} up to block {height} is in {output}.", f"hash  {hash_}")
