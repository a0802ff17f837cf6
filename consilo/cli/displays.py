"""Runs and rounds as tables and lines for people. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from consilo.cli.output import facts, moment, printable, short, table
from consilo.cli.rounds import approved, results_of, silo_states
from consilo.cli.words import decisions_in_words
from consilo.protocol.values import parse_number
from consilo.protocol.views import RoundSummary, RunStatus

_COLUMNS: Final = ("silo", "state", "samples", "metrics")


def progress_facts(status: RunStatus) -> dict[str, object]:
    """Where a run stands, for people."""
    specification, latest, attempt = status.proposal.specification, status.latest, status.attempt
    pairs: dict[str, object] = {"run": status.run, "state": status.state}
    pairs["proposed"] = f"by {status.proposal.proposed_by}, {moment(status.proposal.proposed_at)}"
    if latest is not None:
        attested = ", ".join(f"{each.verifier}: {each.verdict}" for each in status.attestations) or "no attestation"
        pairs["latest global"] = f"{latest.round} of {specification.rounds}, {latest.artifact.sha256} ({attested})"
    if attempt is not None:
        opening = attempt.opening
        again = "" if opening.attempt == 1 else f", attempt {opening.attempt} ({opening.reason})"
        closed = "" if attempt.selection is None else "; closed, its global is being made"
        pairs["round"] = f"{opening.round}{again}; until {moment(opening.deadline_at)}{closed}"
    return pairs


def attempt_table(status: RunStatus) -> Table:
    """The silos in the current attempt."""
    attempt = status.attempt
    if attempt is None:
        return table(_COLUMNS, ())
    states = silo_states(
        status.proposal.specification, approved(status), attempt.opening, attempt.updates, attempt.selection
    )
    return table(_COLUMNS, [_silo_row(state) for state in states])


def round_table(summary: RoundSummary) -> RenderableType:
    """One round: its updates, what was selected, what came of it."""
    selection, model = summary.selection, summary.model
    selected = frozenset(() if selection is None else (each.member for each in selection.selected))
    left_out = {} if selection is None else {each.member: each.reason for each in selection.left_out}
    updates = {update.member: update for update in summary.updates}
    rows: list[Sequence[object]] = []
    for member in sorted({*summary.opening.cohort, *updates}):
        update = updates.get(member)
        word = "published" if update is not None else "nothing published"
        if update is not None and selection is not None:
            word = "selected" if member in selected else f"left out: {left_out.get(member, '')}"
        digest = "" if update is None else update.artifact.sha256
        rows.append(
            (
                member,
                word,
                "" if update is None else update.num_samples,
                _metrics({} if update is None else update.metrics),
                digest,
            )
        )
    opening = summary.opening
    pairs: dict[str, object] = {
        "round": f"{summary.round}, attempt {opening.attempt}, opened {moment(opening.opened_at)}",
        "base": opening.base.sha256,
        "closed": "not yet" if selection is None else f"by {selection.closed_by}, {moment(selection.closed_at)}",
        "global": "not yet" if model is None else f"{model.round}, {model.artifact.sha256}, by {model.published_by}",
        "attested": ", ".join(f"{each.verifier}: {each.verdict}" for each in summary.attestations) or "no",
        "does": _means(results_of(summary)) or "not evaluated yet",
    }
    return Group(facts(pairs), Text(""), table((*_COLUMNS, "sha256"), rows))


def round_line(summary: RoundSummary, rounds: int) -> Text:
    """One round that is over, on a line."""
    selected = 0 if summary.selection is None else len(summary.selection.selected)
    again = "" if summary.opening.attempt == 1 else f"   {summary.opening.attempt} attempts"
    model = summary.model
    seconds = "" if model is None else f"   {(model.published_at - summary.opening.opened_at) / 1000:.2f} s"
    digest = "" if model is None else f"   {short(model.artifact.sha256)}"
    means = _means(results_of(summary))
    text = f"round {summary.round + 1}/{rounds}{seconds}   {selected} of {len(summary.updates)} updates{digest}{again}"
    return Text(printable(f"{text}   {means}" if means else text))


def run_view(status: RunStatus, newest: RoundSummary | None) -> RenderableType:
    """A run as it stands, for a live display; `newest` is the last round that is over."""
    specification = status.proposal.specification
    made = 0 if status.latest is None else status.latest.round
    bar = ProgressBar(total=float(specification.rounds), completed=float(made), width=60)
    parts: list[RenderableType] = [Text(""), bar, facts(progress_facts(status))]
    means = _means(results_of(newest))
    if means:
        parts.append(facts({f"global {made}": means}))
    if status.state == "proposed":
        needed = specification.approvals_required
        parts.append(facts({"approvals": f"{decisions_in_words(status.approvals)} of {needed} needed"}))
    if status.attempt is not None:
        parts += [Text(""), attempt_table(status)]
    return Group(*parts)


def _silo_row(state: Mapping[str, Any]) -> Sequence[object]:
    reason = "" if state["reason"] is None else f": {state['reason']}"
    samples = "" if state["num_samples"] is None else state["num_samples"]
    return (state["member"], f"{state['state'].replace('-', ' ')}{reason}", samples, _metrics(state["metrics"]))


def _metrics(metrics: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {parse_number(value):.4g}" for name, value in sorted(metrics.items()))


def _means(means: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in means.items())
