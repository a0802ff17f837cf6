"""`consilo run list`, `show` and `watch`: what the ledger has about runs. Network I/O; writes to standard output."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from typing import Annotated, Any, Final

import typer
from rich.live import Live

from consilo.api.party import Party
from consilo.api.watch import watch
from consilo.cli.commands import connected
from consilo.cli.displays import attempt_table, progress_facts, round_line, round_table, run_view
from consilo.cli.exits import FAILED
from consilo.cli.output import console, print_facts, print_json, print_json_line, print_lines, print_table
from consilo.cli.rounds import Results, results_of, round_as_json, status_as_json
from consilo.cli.session import Session
from consilo.cli.words import decisions_in_words, specification_in_words
from consilo.protocol.views import RunStatus

_OVER: Final = frozenset({"finished", "stopped", "rejected"})
_AT_ONCE: Final = 8


@connected
def list_runs(session: Session) -> None:
    """List all runs on the ledger.

    Example:
      consilo run list --json
    """

    async def read(party: Party) -> list[RunStatus]:
        names = await party.patience("read the ledger", party.gateway.run_names)
        room = asyncio.Semaphore(_AT_ONCE)

        async def status(name: str) -> RunStatus:
            async with room:
                return await party.metadata_get(name)

        return list(await asyncio.gather(*map(status, names)))

    found = session.call(read)
    if session.as_json:
        print_json([status_as_json(status) for status in found])
        return
    rows = []
    for status in found:
        specification = status.proposal.specification
        made = 0 if status.latest is None else status.latest.round
        approvals = f"{len(status.approvals)}/{specification.approvals_required}"
        rows.append(
            (
                status.run,
                status.state,
                f"{made}/{specification.rounds}",
                approvals,
                specification.task.name,
                status.proposal.proposed_by,
            )
        )
    columns = ("run", "state", "rounds", "approvals", "task", "proposed by")
    print_table(columns, rows, empty="No run was proposed on this ledger.")


@connected
def show(
    session: Session,
    run: Annotated[str, typer.Argument(help="Name of the run.", metavar="RUN", show_default=False)],
    round_number: Annotated[
        int | None, typer.Option("--round", help="Show this round only.", min=0, show_default=False)
    ] = None,
) -> None:
    """Show a run, or one of its rounds.

    Of a run: what was agreed, where it stands, its current attempt. Round r trains on global r and makes global r + 1.

    Example:
      consilo run show digits-1 --round 3
    """
    if round_number is not None:
        number = round_number
        summary = session.call(
            lambda party: party.patience("read the ledger", lambda: party.gateway.round(run, number))
        )
        if session.as_json:
            print_json(round_as_json(summary))
        else:
            console().print(round_table(summary))
        return
    status = session.call(lambda party: party.metadata_get(run))
    if session.as_json:
        print_json({**status_as_json(status), "record": status.model_dump(mode="json")})
        return
    decided = {
        "approved by": decisions_in_words(status.approvals),
        "rejected by": decisions_in_words(status.rejections),
        "stopped by": decisions_in_words(status.stops),
    }
    words = specification_in_words(status.proposal.specification)
    print_facts({**progress_facts(status), **decided, **words, "digest": status.specification_digest})
    if status.attempt is not None:
        print_lines("")
        console().print(attempt_table(status))


@connected
def watch_run(
    session: Session,
    run: Annotated[str, typer.Argument(help="Name of the run.", metavar="RUN", show_default=False)],
) -> None:
    """Follow a run until it is over.

    Shows its rounds, what each silo does, what was selected, how the models do. Exit code 0 when the run has finished,
    1 when it was stopped or rejected. With --json, prints a line of JSON for each change. Interrupt it at any time: the
    run goes on.

    Example:
      consilo run watch digits-1
    """
    state = session.call(lambda party: _follow(party, run, as_json=session.as_json))
    if not session.as_json:
        print_lines(f"Run {run} is {state}.")
    if state != "finished":
        raise typer.Exit(FAILED)


async def _follow(party: Party, run: str, *, as_json: bool) -> str:
    """Show every change of a run until it is over; returns its last state."""
    screen = console()
    live = Live(console=screen, auto_refresh=False, transient=True) if screen.is_terminal and not as_json else None
    results = Results()
    with live or nullcontext():
        async with aclosing(watch(party, run)) as events:
            async for event in events:
                status = await party.metadata_get(run)
                for line in await results.update(party, status):
                    if not as_json:
                        screen.print(round_line(line, status.proposal.specification.rounds))
                if as_json:
                    print_json_line(_change(status, results, None if event is None else event.model_dump(mode="json")))
                elif live is not None:
                    live.update(run_view(status, results.latest), refresh=True)
                if status.state in _OVER:
                    return status.state
    raise AssertionError("an event stream does not end")


def _change(status: RunStatus, results: Results, event: dict[str, Any] | None) -> dict[str, Any]:
    return {**status_as_json(status), "metrics": results_of(results.latest), "event": event}
