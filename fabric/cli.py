"""`python -m fabric`: a Fabric network on this machine. Its commands; writes to standard output and error."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from fabric.creation import Progress
from fabric.errors import BinariesMissing, Impossible, NetworkError
from fabric.network import Network, Options, end_network
from fabric.status import NetworkStatus, PartStatus

T = TypeVar("T")

FAILED: Final = 1
CANNOT_START: Final = 2
INTERRUPTED: Final = 130
_WIDTH_ELSEWHERE: Final = 200  # where no terminal is: paths must not be folded

_EPILOG: Final = """\
\b
It needs programs of Hyperledger Fabric 2.5 or later (peer, orderer, configtxgen,
cryptogen, osnadmin), on PATH or in the directory that FABRIC_BIN names.

\b
Exit codes:
  0    done; of `status`: all processes run
  1    failed; standard error says why. Of `status`: some process does not run
  2    wrong usage, or Fabric's programs are not there
  130  interrupted
"""

app = typer.Typer(
    name="python -m fabric",
    help="A native Hyperledger Fabric network on this machine, for development and tests.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Directory = Annotated[
    Path,
    typer.Option("--directory", help="Directory of the network's files.", envvar="CONSILO_FABRIC_DIRECTORY"),
]
Timeout = Annotated[
    float, typer.Option("--start-timeout-seconds", help="How long one process may take to be ready.", min=1)
]
PartName = Annotated[str, typer.Argument(help="Name of the process, as `status` shows it, e.g. peer-HospitalA.")]
DEFAULT_DIRECTORY: Final = Path(".fabric")


@app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    organisations: Annotated[
        str | None,
        typer.Option(help="MSP ids, with commas between them; default: HospitalA,HospitalB,HospitalC."),
    ] = None,
    orderers: Annotated[int | None, typer.Option(help="How many orderers (Raft); default: 1.")] = None,
    channel: Annotated[str | None, typer.Option(help="Name of the channel; default: consilo.")] = None,
    batch_timeout_ms: Annotated[
        int | None, typer.Option(help="How long an orderer waits before it cuts a block; default: 20.")
    ] = None,
    max_clock_difference_seconds: Annotated[
        float | None,
        typer.Option(help="How far a transaction's time may be from a chaincode server's clock; default: 60."),
    ] = None,
    start_timeout_seconds: Timeout = Options.start_timeout_seconds,
) -> None:
    """Start the network, or what has ended of it.

    The defaults are those of a new network. Its processes stay until `down`. The last line on standard output is the
    file that describes it to others.
    """
    network = _run(
        Network.up(
            directory,
            organisations=None if organisations is None else [msp.strip() for msp in organisations.split(",")],
            orderers=orderers,
            channel=channel,
            batch_timeout_ms=batch_timeout_ms,
            max_clock_difference_seconds=max_clock_difference_seconds,
            options=Options(start_timeout_seconds=start_timeout_seconds),
            progress=_progress(),
        )
    )
    typer.echo(network.file)


@app.command()
def down(
    directory: Directory = DEFAULT_DIRECTORY,
    remove: Annotated[bool, typer.Option("--remove", help="Remove its files, too: ledgers, keys, logs.")] = False,
) -> None:
    """End all processes of the network. `up` goes on with the same ledger, unless its files are removed."""
    there = _run(end_network(directory, remove=remove))
    typer.echo(f"no network in {directory}" if not there else "removed" if remove else "down")


@app.command()
def status(
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show its processes, blocks and addresses."""
    found = _run(_status(directory))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=2, default=str))
    else:
        _show(found)
    if not found.running:
        raise typer.Exit(FAILED)


@app.command()
def start(part: PartName, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Start one process again."""
    _run(_loaded(directory).start(part))


@app.command()
def kill(part: PartName, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Kill one process (SIGKILL)."""
    _run(_loaded(directory).kill(part))


@app.command()
def upgrade(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Deploy the chaincode under the next sequence.

    Servers with the code as it is now start beside the old ones, which serve until it is deployed.
    """
    network = _loaded(directory)
    _run(network.upgrade(_progress()))
    typer.echo(f"sequence {network.description.sequence}")


@app.command()
def add_organisation(
    msp: Annotated[str, typer.Argument(help="MSP id of the new organisation.")],
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Add an organisation to the running channel.

    A majority signs the configuration update; its peer joins, and its chaincode server starts.
    """
    _run(_loaded(directory).add_organisation(msp, _progress()))


def main() -> None:
    """Run the command line, and exit."""
    app()


async def _status(directory: Path) -> NetworkStatus:
    return await Network.load(directory).status()


def _loaded(directory: Path) -> Network:
    try:
        return Network.load(directory)
    except NetworkError as error:
        raise _told(error) from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    async def ended_by_signals() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        told = False

        def end() -> None:
            nonlocal told
            if not told:  # once, or a second Ctrl-C would interrupt the ending of what was started
                told = True
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        return await task

    try:
        return asyncio.run(ended_by_signals())
    except NetworkError as error:
        raise _told(error) from None
    except asyncio.CancelledError:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _told(error: NetworkError) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(CANNOT_START if isinstance(error, BinariesMissing | Impossible) else FAILED)


def _progress() -> Progress:
    began = time.monotonic()
    return lambda text: typer.echo(f"{time.monotonic() - began:5.1f} s  {text}", err=True)


def _show(found: NetworkStatus) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("process", "state", "pid", "memory", "blocks", "addresses"):
        table.add_column(column, header_style="bold", justify="right" if column in ("memory", "blocks") else "left")
    for part in found.parts:
        table.add_row(*_cells(part))
    width = None if sys.stdout.isatty() else _WIDTH_ELSEWHERE
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)
    sequence = "unknown, for no peer says it" if found.sequence is None else found.sequence
    typer.echo(f"\nchannel {found.channel}, chaincode {found.chaincode}, sequence {sequence}")
    typer.echo(f"package {found.package_id}")
    typer.echo(f"description {found.file}")


def _cells(part: PartStatus) -> tuple[str, ...]:
    memory = f"{part.memory_bytes / 2**20:.0f} MiB" if part.memory_bytes else ""
    blocks = "" if part.height is None else str(part.height)
    addresses = ", ".join(
        address if kind == "grpc" else f"{kind} {address.removeprefix('http://')}"
        for kind, address in part.addresses.items()
    )
    return part.name, part.state, str(part.pid), memory, blocks, addresses
