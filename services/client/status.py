"""What the silo is doing, for those who watch it: phases and numbers, no secrets and no messages of tasks. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from consilo.api.gateway import now_ms
from consilo.protocol.views import RunState

Phase = Literal["waiting", "loading", "downloading", "training", "publishing", "evaluating"]


class RunProgress(BaseModel):
    """What the silo is doing for one run."""

    run: str = Field(description="name of the run")
    state: RunState = Field(description="of the run, as last read from the ledger")
    round: int | None = Field(None, description="last round in which the silo was asked for an update")
    attempt: int | None = Field(None, description="attempt of that round")
    loaded: bool = Field(False, description="whether the task is loaded, so that a training can begin at once")
    phase: Phase = Field("waiting", description="`waiting`: nothing is due")
    since: int = Field(description="when the phase began, milliseconds since the epoch")
    progress: float | None = Field(None, description="of the training, in [0, 1]")
    metrics: dict[str, float] = Field(default_factory=dict, description="latest numbers of the training")
    trouble: str | None = Field(None, description="code of the last failure in this attempt; its message is in the log")


class ClientStatus(BaseModel):
    """What the silo is doing."""

    member: str = Field(description="id of the silo")
    runs: list[RunProgress] = Field(description="the runs that it joined since it started, by name")


class StatusBoard:
    """Collects what is being done. For one event loop."""

    def __init__(self, member: str) -> None:
        self._member = member
        self._runs: dict[str, RunProgress] = {}

    def status(self) -> ClientStatus:
        """As it stands."""
        return ClientStatus(member=self._member, runs=[self._runs[run] for run in sorted(self._runs)])

    def phase_of(self, run: str) -> Phase:
        """The phase of a run."""
        return self._runs[run].phase

    def see(self, run: str, state: RunState) -> None:
        """A run that the silo joined stands like this."""
        found = self._runs.get(run)
        if found is None:
            self._runs[run] = RunProgress(run=run, state=state, since=now_ms())
        else:
            found.state = state

    def attempt(self, run: str, round: int, attempt: int) -> None:
        """The silo is asked for an update."""
        found = self._runs[run]
        if (found.round, found.attempt) != (round, attempt):
            found.round, found.attempt, found.trouble, found.metrics, found.progress = round, attempt, None, {}, None

    def phase(self, run: str, phase: Phase) -> None:
        """A phase begins."""
        found = self._runs[run]
        if found.phase != phase:
            found.phase, found.since = phase, now_ms()
            if phase == "training":
                found.progress, found.metrics = 0.0, {}

    def loaded(self, run: str, loaded: bool) -> None:
        """The task was loaded, or is not any more."""
        if run in self._runs:
            self._runs[run].loaded = loaded

    def progress(self, run: str, fraction: float, metrics: Mapping[str, float]) -> None:
        """The training has come so far."""
        found = self._runs[run]
        found.progress = fraction
        if metrics:
            found.metrics = dict(metrics)

    def trouble(self, run: str, code: str) -> None:
        """Something failed."""
        self._runs[run].trouble = code
