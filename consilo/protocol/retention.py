"""How long artifacts are kept: the one place of the rule, for who verifies and for who collects. Pure; no I/O."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from consilo.protocol import keys
from consilo.protocol.model import Record
from consilo.protocol.records import GlobalModel, Update
from consilo.protocol.rounds import load_run
from consilo.protocol.specification import Artifact
from consilo.protocol.state import State
from consilo.protocol.values import Msp, Name, ObjectKey
from consilo.protocol.views import run_status

_STILL_NEEDED_ROUNDS: Final = 1
"""Rounds before the latest global whose artifacts are kept whatever the retention: verifiers may still recompute the
latest global from its inputs, and an annulment goes back to the global before it."""


class ArtifactsOfRun(Record):
    """A page of what a run's records name in some organisations' stores: of those after a key of the ledger."""

    run: Name
    organisations: Annotated[tuple[Msp, ...], Field(min_length=1, max_length=1000)]
    after: Annotated[str, Field(max_length=1024)]
    limit: Annotated[int, Field(ge=1, le=1000)]


class NamedArtifact(Record):
    """An object that a record names, and whether its store may remove it."""

    key: ObjectKey
    collectable: bool


class NamedArtifacts(Record):
    """The objects that a page of a run's records names. `after` continues it; None on the last page.

    An object may be named more than once: it may be removed when all of its names say so.
    """

    artifacts: tuple[NamedArtifact, ...]
    after: str | None


def is_expired(retention_rounds: int | None, round_number: int, latest: int) -> bool:
    """Whether an artifact that is gone counts as expired, not as missing.

    Args:
        retention_rounds: of the run's specification; None: for ever.
        round_number: of the global model, or of the round that the update was made in.
        latest: number of the run's latest global model that stands; -1: none.
    """
    return retention_rounds is not None and round_number + retention_rounds <= latest


def is_collectable(retention_rounds: int | None, round_number: int, latest: int) -> bool:
    """Whether a store may remove an artifact: it is expired, and the run cannot need it to go on.

    Arguments as of `is_expired`.
    """
    return is_expired(retention_rounds, round_number, latest) and round_number < latest - _STILL_NEEDED_ROUNDS


def artifacts_of_run(state: State, arguments: ArtifactsOfRun) -> NamedArtifacts:
    """Which objects a run's records name; the page's limit is on the records looked at.

    The initial model has the name of the proposal until global 0, which is the same object, is published.

    Raises:
        Refusal: `run-unknown`.
    """
    specification = load_run(state, arguments.run).specification
    reached = run_status(state, arguments.run).latest
    latest = -1 if reached is None else reached.round
    found: list[NamedArtifact] = []

    def name(artifact: Artifact, *, collectable: bool) -> None:
        if artifact.organisation in arguments.organisations:
            found.append(NamedArtifact(key=artifact.key, collectable=collectable))

    if not arguments.after and latest < 0:
        name(specification.initial, collectable=False)
    seen, last = 0, ""
    for prefix in (keys.run(arguments.run, "global") + "/", keys.run(arguments.run, "round") + "/"):
        start = max(prefix, arguments.after + "\0" if arguments.after else "")
        if start >= keys.end_of(prefix):
            continue
        for key, data in state.range(start, keys.end_of(prefix)):
            if seen == arguments.limit:
                return NamedArtifacts(artifacts=tuple(found), after=last)
            seen, last = seen + 1, key
            record = _record_with_artifact(key, data, arguments.run)
            if record is not None:
                collectable = is_collectable(specification.retention_rounds, record.round, latest)
                name(record.artifact, collectable=collectable)
    return NamedArtifacts(artifacts=tuple(found), after=None)


def _record_with_artifact(key: str, data: bytes, run: str) -> GlobalModel | Update | None:
    parts = key.removeprefix(keys.run(run) + "/").split("/")
    match parts:
        case ["global", *_]:
            return GlobalModel.decode(data)
        case ["round", _, "attempt", _, "update", *_]:
            return Update.decode(data)
        case _:
            return None
