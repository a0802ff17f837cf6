"""The port to whatever runs Jobs: the Kubernetes cluster, or in tests a process on the same machine. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

JobPhase = Literal["waiting", "running", "succeeded", "failed"]


class RunnerUnusable(Exception):
    """The runner cannot be reached, or refuses. The message says what to do, where that is known."""


@dataclass(frozen=True)
class JobToStart:
    """A Job to make.

    Attributes:
        name: a DNS label.
        member: id of the silo.
        run: name of the run.
        round: that it trains in; None: it only evaluates.
        url: of the Job at the silo.
        token: that shows that it is this Job: to be kept where only the Job can read it.
    """

    name: str
    member: str
    run: str
    round: int | None
    url: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class JobState:
    """How a Job stands.

    Attributes:
        uid: two Jobs of one name, one after the other, differ in it.
        phase: `waiting`: no process of it runs yet.
        is_overdue: it failed because its deadline is over.
        reason: why it waits or failed, in words; or None.
    """

    uid: str
    phase: JobPhase
    is_overdue: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class JobEnd:
    """How a Job ended.

    Attributes:
        reason: in words, if it is known.
        exit_code: of its program, if that is known; see `consilo.training.job_messages`.
        log: the last lines of its log.
    """

    reason: str | None = None
    exit_code: int | None = None
    log: tuple[str, ...] = ()


class JobRunner(Protocol):
    """Runs Jobs of one silo. All methods but `close` raise `RunnerUnusable`."""

    async def start(self, job: JobToStart) -> str:
        """Make a Job, and return its UID. One of the same name that is there makes room first."""
        ...

    async def look(self, name: str, uid: str) -> JobState | None:
        """How a Job stands; None: it is not there (any more)."""
        ...

    async def explain(self, name: str, uid: str) -> JobEnd:
        """How a Job ended, as far as that is known; of one that runs, its log."""
        ...

    async def delete(self, name: str, uid: str | None) -> None:
        """End a Job, if it is there; None: whichever has the name. Does not wait for its process."""
        ...

    async def jobs(self, member: str) -> dict[str, str]:
        """The Jobs of a silo that are there: UID by name."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
