"""`consilo verify RUN`: everything about a run, checked in numbered steps. Network I/O; writes to standard output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from consilo.cli.commands import connected
from consilo.cli.exits import FAILED, FOUND, OK, UNAVAILABLE
from consilo.cli.ledger_verify import GenesisOption, check_hash
from consilo.cli.output import console, print_json, print_lines
from consilo.cli.session import Session
from consilo.verification import Report, verify_run
from consilo.verification.steps import OnProgress, Progress, Step

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_WORDS: Final = {"ok": "ok", "failed": "FAILED", "not-possible": "not possible"}
_PASSES: Final = {1: "steps 1-3: ledger", 4: "steps 4-5: models"}
_SHOWN_PROBLEMS: Final = 20


@app.command()
@connected
def verify(
    session: Session,
    run: Annotated[str, typer.Argument(help="Name of the run.", metavar="RUN")],
    rounds: Annotated[
        list[int] | None,
        typer.Option(
            "--round",
            help="Only the global model of this number, with the updates that it was made from (may be repeated). The "
            "ledger is replayed whole in any case.",
            min=0,
            show_default=False,
        ),
    ] = None,
    genesis: GenesisOption = None,
    attest: Annotated[
        bool, typer.Option("--attest", help="For verifiers of the run: publish your word on each global recomputed.")
    ] = False,
) -> None:
    """Check everything about a run: the ledger, block by block, and each global model, bit for bit.

    1. The blocks follow each other up to the head that the gateway signed, and
       the newest block seen by earlier commands is among them.
    2. Each transaction is signed under a certificate that counted then. On
       Fabric, so many organisations endorsed it as must.
    3. Each transaction, applied again, is admitted and writes what is recorded.
       On Fabric, other organisations' gateways hold the same state.
    4. All inputs of each global model are in their stores, with the digests that
       the ledger has (as far as the run lets you read updates).
    5. Each global model, recomputed from them, is what the ledger says, and so is
       the one in its store.

    Reading others' models is recorded on the ledger. Exit code 3 when something is wrong, 4 when something was away.

    Example:
      consilo verify digits-1 --gateway https://ledger.hospital-a.example --identity auditor
    """
    check_hash("--genesis", genesis)
    seen = session.remembered()
    with _progress(hidden=session.as_json) as progress:
        report = session.call(
            lambda party: verify_run(
                party, run, rounds or None, progress=progress, seen=seen, genesis=genesis, attest=attest
            )
        )
    if session.as_json:
        print_json(report.as_json())
    else:
        print_steps(report.steps)
        _print_conclusion(report)
    raise typer.Exit(exit_code_of(report))


def exit_code_of(report: Report) -> int:
    """What a report means to whoever called the command."""
    if report.failed:
        return FOUND
    if any(step.reason == "unavailable" for step in report.steps):
        return UNAVAILABLE
    return OK if report.ok else FAILED


def print_steps(steps: tuple[Step, ...]) -> None:
    """Print steps with their numbers and results."""
    for step in steps:
        print_lines(f"{step.number}. {step.title}: {_WORDS[step.outcome]}", f"   {step.detail}")
        if len(step.problems) > 1:
            print_lines(*(f"   - {problem}" for problem in step.problems[:_SHOWN_PROBLEMS]))
            if len(step.problems) > _SHOWN_PROBLEMS:
                print_lines(f"   - and {len(step.problems) - _SHOWN_PROBLEMS} more; see --json")


def _print_conclusion(report: Report) -> None:
    attested = [checked for checked in report.globals if checked.attested is not None]
    if attested:
        words = ", ".join(f"global {checked.round} {checked.attested}" for checked in attested)
        print_lines(f"Attested: {words}.")
    missed = sum(step.outcome == "not-possible" for step in report.steps)
    if report.failed:
        print_lines(f"Something is wrong with run {report.run}; see above.")
    elif report.complete:
        print_lines(f"Run {report.run} is what its ledger says.")
    else:
        print_lines(f"Nothing wrong was found, but {missed} of {len(report.steps)} steps were not possible in full.")


@contextmanager
def _progress(*, hidden: bool) -> Iterator[OnProgress]:
    """A bar on standard error, if it is a terminal."""
    screen = console(error=True)
    bar = ProgressBar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        console=screen,
        transient=True,
        disable=hidden or not screen.is_terminal,
    )
    tasks = {step: bar.add_task(title, total=None, visible=False, what="") for step, title in _PASSES.items()}

    def report(progress: Progress) -> None:
        bar.update(
            tasks[progress.step], completed=progress.done, total=progress.total, visible=True, what=progress.what
        )

    with bar:
        yield report
