"""`python -m fabric.cluster`: the jobs of helm/fabric. Their commands; writes to standard error.

Exit codes: 0 done; 1 failed, and another try may succeed; 2 can never succeed as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fabric.binaries import find_tools
from fabric.cluster.bootstrap import Bootstrap
from fabric.cluster.contents import FILES_KEY, restore_files
from fabric.cluster.material import GENESIS_KEY, make_material
from fabric.cluster.network import ClusterNetwork
from fabric.cluster.secrets import ClusterSecrets
from fabric.creation import Progress
from fabric.errors import BinariesMissing, Impossible, NetworkError
from fabric.layout import Layout

FAILED: Final = 1
IMPOSSIBLE: Final = 2

app = typer.Typer(
    name="python -m fabric.cluster",
    help="A Hyperledger Fabric network in a Kubernetes cluster: what the jobs of its chart do.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

NetworkText = Annotated[
    str, typer.Option("--network", help="The network that is wanted, as JSON.", envvar="CONSILO_FABRIC_NETWORK")
]
Administrators = Annotated[Path, typer.Option(help="Directory with the administrators' Secret.")]
Channel = Annotated[Path, typer.Option(help="Directory with the channel's Secret.")]
Timeout = Annotated[float, typer.Option(help="For each step; nodes may be starting.", min=1)]
Directory = Annotated[
    Path, typer.Option("--directory", help="Directory to work in, empty.", envvar="CONSILO_FABRIC_DIRECTORY")
]


@app.command()
def material(
    network_text: NetworkText,
    directory: Directory,
    label: Annotated[
        list[str] | None, typer.Option(help="Label (name=value) of Secrets that are made; may be given again.")
    ] = None,
    api_timeout_seconds: Annotated[float, typer.Option(help="For the API server to answer.", min=1)] = 15.0,
) -> None:
    """Have all keys, certificates and the channel's first block there, as Secrets of the network's namespace."""

    async def work() -> None:
        network = ClusterNetwork.parse(network_text)
        labels = dict(each.split("=", 1) for each in label or ())
        secrets = ClusterSecrets(network.namespace, labels=labels, timeout_seconds=api_timeout_seconds)
        await make_material(network, secrets, find_tools(), Layout(directory.absolute()), _progress())

    _run(work())


@app.command()
def bootstrap(
    network_text: NetworkText,
    directory: Directory,
    administrators: Administrators,
    channel: Channel,
    timeout_seconds: Timeout = 120.0,
) -> None:
    """Have the channel and the chaincode work on nodes that run."""

    async def work() -> None:
        await _bootstrap(network_text, directory, administrators, channel, timeout_seconds).run()

    _run(work())


@app.command()
def check(
    network_text: NetworkText,
    directory: Directory,
    administrators: Administrators,
    channel: Channel,
    timeout_seconds: Timeout = 30.0,
) -> None:
    """See that the chaincode answers at every peer, and that all nodes know each other."""

    async def work() -> None:
        await _bootstrap(network_text, directory, administrators, channel, timeout_seconds).check()

    _run(work())


def _bootstrap(text: str, directory: Path, administrators: Path, channel: Path, timeout_seconds: float) -> Bootstrap:
    network = ClusterNetwork.parse(text)
    layout = Layout(directory.absolute())
    layout.directory.mkdir(parents=True, exist_ok=True)
    restore_files({FILES_KEY: (administrators / FILES_KEY).read_bytes()}, layout.crypto)
    layout.genesis.write_bytes((channel / GENESIS_KEY).read_bytes())
    return Bootstrap(network, find_tools(), layout, timeout_seconds=timeout_seconds, progress=_progress())


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except NetworkError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(IMPOSSIBLE if isinstance(error, Impossible | BinariesMissing) else FAILED) from None


def _progress() -> Progress:
    began = time.monotonic()
    return lambda text: typer.echo(f"{time.monotonic() - began:5.1f} s  {text}", err=True)


if __name__ == "__main__":
    app()
