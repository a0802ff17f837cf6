"""The demonstration's live display: rounds, each silo's state, accuracy; a line per round where no terminal is."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from services.local.report import RoundFigures


class Display:
    """What is shown while the run goes on.

    Args:
        console: where to.
        rounds: how many there will be.
    """

    def __init__(self, console: Console, rounds: int) -> None:
        self._console = console
        self._total = rounds
        self._rounds: list[RoundFigures] = []
        self._silos: dict[str, tuple[str, float | None, float | None]] = {}
        self._note = ""
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        """Start to draw, if this is a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._live.stop()

    def note(self, text: str) -> None:
        """What is being done now."""
        self._note = text
        if not self._console.is_terminal:
            self._console.print(text, style="dim")

    def silo(self, member: str, phase: str, progress: float | None, accuracy: float | None) -> None:
        """What a silo is doing: its phase, how far it is (0 to 1), its last accuracy in training."""
        self._silos[member] = (phase, progress, accuracy)

    def round(self, figures: RoundFigures) -> None:
        """A round is over."""
        self._rounds.append(figures)
        accuracy = "" if figures.validation_accuracy is None else f"   accuracy {figures.validation_accuracy:.3f}"
        attempts = "" if figures.attempts == 1 else f"   {figures.attempts} attempts"
        text = f"round {figures.round + 1:>3}/{self._total}   {figures.seconds:6.2f} s   "
        self._console.print(
            f"{text}{figures.selected} of {figures.updates} updates{accuracy}{attempts}", highlight=False
        )

    def _render(self) -> RenderableType:
        silos = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("silo", "state", "", "training accuracy"):
            silos.add_column(column, header_style="dim")
        for member in sorted(self._silos):
            phase, progress, accuracy = self._silos[member]
            bar = ProgressBar(total=1.0, completed=progress or 0.0, width=20) if progress is not None else ""
            silos.add_row(member, phase, bar, "" if accuracy is None else f"{accuracy:.3f}")
        done = Table.grid()  # a bar alone would not end its line
        done.add_row(ProgressBar(total=float(self._total), completed=float(len(self._rounds)), width=60))
        return Group("", done, silos, f"[dim]{self._note}[/]")
