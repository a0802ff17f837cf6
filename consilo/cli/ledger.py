"""`consilo ledger genesis` and `show`: how a ledger begins, and what is on it. Network and file I/O."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from consilo.api.gateway import now_ms
from consilo.cli.commands import connected, group, local
from consilo.cli.exits import USAGE, CliError
from consilo.cli.ledger_backup import backup
from consilo.cli.ledger_blocks import shown_block
from consilo.cli.ledger_source import LedgerSource, open_source
from consilo.cli.ledger_verify import verify_ledger
from consilo.cli.output import moment, print_facts, print_json, print_lines, print_table, short
from consilo.cli.roots import read_roots
from consilo.cli.session import Session
from consilo.embedded.blocks import Genesis
from consilo.identity.files import write_new
from consilo.protocol.certificates import roots_digest

app = group("The ledger: make its genesis, show it, verify it, back it up.")


@app.command()
@local
def genesis(
    session: Session,
    ledger: Annotated[str, typer.Option(help="Name of the ledger: lower-case letters, digits, dots, hyphens.")],
    organisation: Annotated[
        list[str],
        typer.Option(
            help="An organisation and its CA: a directory, or certificates in PEM (may be repeated).",
            metavar="MSP=CA",
        ),
    ],
    output: Annotated[Path, typer.Option(help="File to write; must not be there yet.")],
) -> None:
    """Make the first block of an embedded ledger.

    It says which organisations the ledger admits, by the digests of their CA roots. A ledger on Fabric has none of
    this kind: its first block is the channel's.

    Example:
      consilo ledger genesis --ledger trial --organisation HospitalA=hospital-a-ca --output genesis.json
    """
    organisations: dict[str, str] = {}
    for text in organisation:
        msp, equals, ca = text.partition("=")
        if not equals or msp in organisations:
            raise CliError("organisation-malformed", f"{text} is not MSP=CA, or its MSP comes twice", exit_code=USAGE)
        organisations[msp] = roots_digest(read_roots(Path(ca)))
    try:
        made = Genesis(ledger=ledger, organisations=organisations, created_at=now_ms())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CliError("genesis-malformed", f"{place}: {first['msg']}", exit_code=USAGE) from None
    write_new(output, made.encode())
    hash_ = made.digest()
    if session.as_json:
        print_json({"file": str(output), "hash": hash_, "genesis": made.model_dump(mode="json")})
        return
    print_lines(f"Made the genesis of ledger {ledger} in {output}.")
    for msp, roots in organisations.items():
        print_lines(f"{msp}  roots digest {roots}")
    print_lines(f"hash  {hash_}")


@app.command()
@connected
def show(
    session: Session,
    blocks: Annotated[bool, typer.Option("--blocks", help="List blocks and their transactions.")] = False,
    start: Annotated[int, typer.Option(help="With --blocks: height of the first.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="With --blocks or --records: how many at most.", min=1)] = 100,
    records: Annotated[
        str | None,
        typer.Option(help="Show the records whose keys start with this, e.g. run/digits-1/.", show_default=False),
    ] = None,
    transaction: Annotated[
        str | None, typer.Option(help="Show the transaction of this id.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Read this file of an embedded ledger, instead of a gateway.", show_default=False),
    ] = None,
) -> None:
    """Show a ledger, its blocks, records or a transaction.

    What is shown is what the gateway or the file says; `consilo ledger verify` and `consilo verify` check it.

    Example:
      consilo ledger show --records run/digits-1/global/
      consilo ledger show --file ledger.sqlite --blocks --start 10
    """
    if sum((blocks, records is not None, transaction is not None)) > 1:
        raise CliError("usage", "give one of --blocks, --records and --transaction", exit_code=USAGE)
    with open_source(session, file) as source:
        if blocks:
            _show_blocks(session, source, start, limit)
        elif records is not None:
            _show_records(session, source, records, limit)
        elif transaction is not None:
            _show_transaction(session, source, transaction)
        else:
            _show_summary(session, source)


def _show_blocks(session: Session, source: LedgerSource, start: int, limit: int) -> None:
    rows, found = [], []
    for height, body in enumerate(islice(source.blocks(start), limit), start):
        block = shown_block(source.kind, height, body)
        found.append(block.as_json())
        if block.genesis is not None:
            about = ", ".join(sorted(block.genesis.get("organisations", ())))
            rows.append((0, moment(block.created_at or 0), "genesis", about, "", block.hash))
        for each in block.transactions:
            what = each.type if each.remark is None else f"{each.type} ({each.remark})"
            rows.append((height, moment(each.time), what, each.by, each.about, short(block.hash)))
    if session.as_json:
        print_json(found)
    else:
        columns = ("block", "time", "transaction", "by", "about", "hash")
        print_table(columns, rows, empty=f"There is no block {start} or later.")


def _show_records(session: Session, source: LedgerSource, prefix: str, limit: int) -> None:
    found = list(islice(source.records(prefix), limit))
    if session.as_json:
        print_json([{"key": key, "record": json.loads(record)} for key, record in found])
        return
    for key, record in found:
        print_lines(key, f"  {record.decode()}")
    if not found:
        print_lines(f"No record's key starts with {prefix}")


def _show_transaction(session: Session, source: LedgerSource, wanted: str) -> None:
    for height, body in enumerate(source.blocks(0)):
        # The id of a transaction is in its event, so a block that does not have it need not be decoded.
        if height == 0 or wanted.encode() not in body:
            continue
        for each in shown_block(source.kind, height, body).transactions:
            if wanted not in (each.id, (each.fabric or {}).get("id")):
                continue
            value = {"height": height, "index": each.index, **each.as_json()}
            if each.request is not None:
                value |= {"signature": each.request.signature, "body": each.request.payload.body}
            if session.as_json:
                print_json(value)
                return
            print_facts({key.replace("_", " "): value[key] for key in ("id", "height", "index", "type", "member")})
            print_facts({"time": moment(each.time), "effects": ", ".join(value["effects"]) or "none"})
            if each.fabric is not None:
                print_facts(
                    {
                        "id on Fabric": each.fabric["id"],
                        "the peer's code": each.fabric["code"],
                        "endorsed by": ", ".join(each.fabric["endorsed_by"]) or "nobody",
                    }
                )
            print_lines(json.dumps(value.get("body", {}), indent=2, ensure_ascii=True))
            return
    raise CliError("transaction-unknown", f"no block has a transaction {wanted[:80]}")


def _show_summary(session: Session, source: LedgerSource) -> None:
    head = source.head()
    first = shown_block(source.kind, 0, next(iter(source.blocks(0))))
    registered = {key.split("/")[1] for key, _ in source.records("organisation/")}
    runs = [key.removeprefix("runs/") for key, _ in source.records("runs/")]
    value: dict[str, Any] = {
        "ledger": head.ledger,
        "kind": source.kind,
        "height": head.height,
        "hash": head.hash,
        "genesis": first.hash,
        "created_at": first.created_at,
        "organisations": sorted((first.genesis or {}).get("organisations", registered)),
        "runs": runs,
    }
    if session.as_json:
        print_json(value)
        return
    print_facts(
        {
            **{name: value[name] for name in ("ledger", "kind", "height", "hash", "genesis")},
            "created": moment(first.created_at or 0),
            "organisations": ", ".join(value["organisations"]) or "none",
            "runs": ", ".join(runs) or "none",
        }
    )


app.command("verify")(verify_ledger)
app.command()(backup)
