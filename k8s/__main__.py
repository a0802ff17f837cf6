"""`python -m k8s`: the demonstration in the cluster that KUBECONFIG names. Writes to standard output and error.

Exit codes: 0 done and everything holds, 1 something does not, 2 a program or KUBECONFIG is missing, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

from k8s.cluster import Cluster, NoCluster
from k8s.commands import CommandFailed, ProgramMissing
from k8s.consortium import Image, remove
from k8s.demo import Demo, demonstrate
from k8s.organisations import ORGANISATIONS
from k8s.progress import Progress
from k8s.runs import Agreement

T = TypeVar("T")

FAILED: Final = 1
CANNOT_START: Final = 2
INTERRUPTED: Final = 130

app = typer.Typer(
    name="python -m k8s",
    help="A consortium of three organisations on Kubernetes, in the cluster that KUBECONFIG names.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Timeout = Annotated[
    float, typer.Option("--timeout-seconds", help="How long one installation or removal may take.", min=1)
]
DEFAULT_TIMEOUT_SECONDS: Final = 600.0


@app.command()
def up(
    run: Annotated[str, typer.Option(help="Name of the run; one that is there is gone on with.")] = "digits-1",
    rounds: Annotated[int, typer.Option(help="Rounds of federated training.", min=1, max=1000)] = 10,
    image: Annotated[
        str | None, typer.Option(help="Repository of the image of Consilo; default: that of the charts.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Its tag; default: that of the charts.")] = None,
    pull_policy: Annotated[
        str | None, typer.Option(help="When nodes look for a newer image of this tag, e.g. Always for one that moves.")
    ] = None,
    orderers: Annotated[int | None, typer.Option(help="Orderers of the Fabric network; default: 3.", min=1)] = None,
    timeout_seconds: Timeout = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Install Fabric and three organisations, train a model across them, verify every step of it.

    Can be called again at any time: what is there is brought up to date, a run that is under way is followed.
    """
    demo = Demo(Image(image, tag, pull_policy), Agreement(run, rounds), orderers)
    progress = Progress(Console())
    if not _run(demonstrate(Cluster(timeout_seconds), demo, progress)):
        raise typer.Exit(FAILED)
    names = ", ".join(organisation.namespace for organisation in ORGANISATIONS)
    progress.note(f"Everything holds. Look around in {names}; `python -m k8s down` removes it all.")


@app.command()
def down(timeout_seconds: Timeout = DEFAULT_TIMEOUT_SECONDS) -> None:
    """Remove all of it: releases, namespaces, and the ledgers, keys and models in them."""
    progress = Progress(Console())

    async def removed() -> None:
        cluster = Cluster(timeout_seconds)
        await cluster.check()
        await remove(cluster, progress.note)

    _run(removed())
    progress.note("Removed.")


def _run(work: Coroutine[None, None, T]) -> T:
    try:
        return asyncio.run(_cancelled_by_signals(work))
    except (ProgramMissing, NoCluster) as error:
        code, reason = CANNOT_START, str(error)
    except CommandFailed as error:
        code, reason = FAILED, str(error)
    except (asyncio.CancelledError, KeyboardInterrupt):
        code, reason = INTERRUPTED, "interrupted"
    sys.stderr.write(f"error: {reason}\n")
    raise typer.Exit(code)


async def _cancelled_by_signals(work: Coroutine[None, None, T]) -> T:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


if __name__ == "__main__":
    app()
