"""The figures of a demonstration: what it prints at the end and writes to its report. Pure; no I/O."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.table import Table

from services.local.foundations import LedgerKind


class RoundFigures(BaseModel):
    """One round: seconds from one global to the next, and what the silos say of the new one (weighted mean)."""

    model_config = ConfigDict(frozen=True)

    round: int
    seconds: float
    updates: int
    selected: int
    attempts: int
    validation_accuracy: float | None


class StepFigures(BaseModel):
    """One step of the verification."""

    model_config = ConfigDict(frozen=True)

    number: int
    name: str
    outcome: str
    detail: str


class NodeFigures(BaseModel):
    """A process of the ledger that is no service of Consilo: its peak resident memory and version, where known."""

    model_config = ConfigDict(frozen=True)

    name: str
    peak_megabytes: float | None
    version: str | None


class DemoReport(BaseModel):
    """All figures of a demonstration. Accuracies are on the global test set, which nobody trained on."""

    model_config = ConfigDict(frozen=True)

    settings: dict[str, Any]
    run: str
    state: str
    final_digest: str
    global_accuracy: float
    pooled_accuracy: float
    local_accuracy: dict[str, float]
    rounds: list[RoundFigures]
    median_seconds_per_round: float
    seconds_to_first_round: float
    seconds_total: float
    pooled_training_seconds: float
    ledger: LedgerKind
    ledger_height: int
    nodes: list[NodeFigures]
    attestations: dict[str, int]
    verification: list[StepFigures]
    problems: list[str]

    @property
    def ok(self) -> bool:
        """Whether all of it holds."""
        return not self.problems


def summary(report: DemoReport) -> RenderableType:
    """The figures for people."""
    figures = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    figures.add_row("Global model, test accuracy", f"[bold]{report.global_accuracy:.3f}[/]")
    figures.add_row("  all data pooled in one place", f"{report.pooled_accuracy:.3f}")
    for member, accuracy in report.local_accuracy.items():
        figures.add_row(f"  {member} alone", f"{accuracy:.3f}")
    figures.add_row("Seconds per round (median)", f"{report.median_seconds_per_round:.2f}")
    figures.add_row("Ledger", f"{report.ledger}, {report.ledger_height} blocks")
    for node in report.nodes:
        figures.add_row(f"  {node.name}", _described(node))
    attested = ", ".join(f"{count} {verdict}" for verdict, count in report.attestations.items())
    figures.add_row("Attestations", attested or "none")
    steps = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for step in report.verification:
        mark = "[green]ok[/]" if step.outcome == "ok" else f"[red]{step.outcome}[/]"
        steps.add_row(f"{step.number}.", f"{step.name}: {mark}\n[dim]{step.detail}[/]")
    verdict = (
        "[bold green]Everything holds.[/]"
        if report.ok
        else "\n".join(["[bold red]Something does not hold:[/]", *(f"- {problem}" for problem in report.problems)])
    )
    return Group("", figures, "", "Verification, from the ledger's blocks and the stores:", steps, "", verdict)


def _described(node: NodeFigures) -> str:
    memory = "memory unknown" if node.peak_megabytes is None else f"{node.peak_megabytes:.0f} MB"
    return memory if node.version is None else f"{memory}, version {node.version}"
