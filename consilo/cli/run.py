"""`consilo run`: what an operator decides about runs. Network I/O; writes to standard output."""

from __future__ import annotations

from typing import Annotated

import typer

from consilo.api.party import Party
from consilo.cli.asking import confirm
from consilo.cli.commands import connected, group
from consilo.cli.exits import CliError
from consilo.cli.output import print_facts, print_json, print_lines
from consilo.cli.proposing import propose
from consilo.cli.reading import list_runs, show, watch_run
from consilo.cli.session import Session
from consilo.cli.words import decisions_in_words, specification_in_words
from consilo.protocol.bodies import ApproveRun, RejectRun, StopRun
from consilo.protocol.model import Record
from consilo.protocol.views import RunStatus

app = group("Runs: propose, approve, list, show, watch, stop.")

RunName = Annotated[str, typer.Argument(help="Name of the run.", metavar="RUN", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, for others to read.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

app.command()(propose)


@app.command()
@connected
def approve(
    session: Session,
    run: RunName,
    specification: Annotated[
        str | None,
        typer.Option(help="Approve only if the specification has this digest.", metavar="DIGEST", show_default=False),
    ] = None,
    yes: Yes = False,
) -> None:
    """Approve a run for your organisation, as its operator.

    Shows the specification in words, and asks. What is approved is what was shown: its digest is part of what you sign.

    Example:
      consilo run approve digits-1
    """
    status = session.call(lambda party: party.metadata_get(run))
    digest = status.specification_digest
    if status.proposal.specification.digest() != digest:
        raise CliError("answer-invalid", "the gateway shows a specification that does not have the digest it gives")
    if specification is not None and specification != digest:
        raise CliError("specification-mismatch", f"the specification of run {run} has digest {digest}; not approved")
    if not session.as_json:
        _print_proposal(status)
    confirm(f"Approve run {run} for {session.member.msp}?", yes=yes)
    after = session.call(lambda party: _decide(party, run, ApproveRun(run=run, specification=digest)))
    if session.as_json:
        print_json(_decision(session, after))
    else:
        needed = after.proposal.specification.approvals_required
        print_lines(f"Approved. Run {run} is {after.state}: {len(after.approvals)} approvals of {needed}.")


@app.command()
@connected
def reject(session: Session, run: RunName, reason: Reason) -> None:
    """Reject a run for your organisation, as its operator.

    Example:
      consilo run reject digits-1 --reason "the deadline is too short for us"
    """
    after = session.call(lambda party: _decide(party, run, RejectRun(run=run, reason=reason)))
    if session.as_json:
        print_json(_decision(session, after))
    else:
        print_lines(f"Rejected. Run {run} is {after.state}.")


@app.command()
@connected
def stop(session: Session, run: RunName, reason: Reason, yes: Yes = False) -> None:
    """Ask for a run to end, for your organisation, as its operator.

    It ends at the word of the proposer's organisation, or of as many as had to approve. What exists can still be read.

    Example:
      consilo run stop digits-1 --reason "good enough" --yes
    """
    confirm(f"Stop run {run}? It cannot be started again.", yes=yes)
    after = session.call(lambda party: _decide(party, run, StopRun(run=run, reason=reason)))
    if session.as_json:
        print_json(_decision(session, after))
    elif after.state == "stopped":
        print_lines(f"Run {run} is stopped.")
    else:
        print_lines(f"Said so. Run {run} is {after.state}; {decisions_in_words(after.stops)} want it to stop.")


async def _decide(party: Party, run: str, body: Record) -> RunStatus:
    await party.metadata_publish(body)
    return await party.metadata_get(run)


def _print_proposal(status: RunStatus) -> None:
    words = specification_in_words(status.proposal.specification)
    heading = {
        "run": status.run,
        "proposed by": status.proposal.proposed_by,
        "approved by": decisions_in_words(status.approvals),
        "rejected by": decisions_in_words(status.rejections),
    }
    print_facts({**heading, **words, "digest": status.specification_digest})


def _decision(session: Session, status: RunStatus) -> dict[str, object]:
    return {
        "run": status.run,
        "organisation": session.member.msp,
        "state": status.state,
        "specification_digest": status.specification_digest,
        "approvals": [decision.msp for decision in status.approvals],
        "rejections": [decision.msp for decision in status.rejections],
        "stops": [decision.msp for decision in status.stops],
    }


app.command("list")(list_runs)
app.command()(show)
app.command("watch")(watch_run)
