"""What the records of a run add up to, found the slow and obvious way: by going over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from consilo.protocol.model import Record
from consilo.protocol.records import (
    Attestation,
    Decision,
    Generation,
    GlobalModel,
    Opening,
    Proposal,
    Selection,
    Update,
)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Ledger:
    """All records of a ledger, decoded.

    Attributes:
        records: by key, sorted.
        order: how many records were written before that of a key.
    """

    records: Mapping[str, Record]
    order: Mapping[str, int]

    def all(self, model: type[R], prefix: str = "") -> list[R]:
        return [record for key, record in self.records.items() if key.startswith(prefix) and isinstance(record, model)]

    def attempts(self, run: str) -> list[Opening]:
        """All openings of a run, by round and attempt."""
        return [opening for opening in self.all(Opening) if opening.run == run]

    def globals(self, run: str) -> list[GlobalModel]:
        return [model for model in self.all(GlobalModel) if model.run == run]

    def standing(self, run: str) -> list[GlobalModel]:
        """The globals that no later annulment voids, by round."""
        generations = self.all(Generation, f"run/{run}/")
        return [
            model
            for model in self.globals(run)
            if not any(found.generation > model.generation and found.round <= model.round for found in generations)
        ]

    def counting(self, opening: Opening) -> list[Update]:
        """The updates that count in an attempt, by member."""
        carried = {(reference.member, reference.attempt) for reference in opening.carried}
        found = [
            update
            for update in self.all(Update)
            if (update.run, update.round) == (opening.run, opening.round)
            and (update.attempt == opening.attempt or (update.member, update.attempt) in carried)
        ]
        return sorted(found, key=lambda update: update.member)

    def selection(self, opening: Opening) -> Selection | None:
        place = (opening.run, opening.round, opening.attempt)
        return only(found for found in self.all(Selection) if (found.run, found.round, found.attempt) == place)


@dataclass(frozen=True)
class Status:
    """The same facts as in `views.RunStatus`."""

    state: str
    approvals: tuple[str, ...]
    rejections: tuple[str, ...]
    stops: tuple[str, ...]
    generation: int
    latest: GlobalModel | None
    opening: Opening | None
    updates: tuple[Update, ...]
    selection: Selection | None
    attestations: tuple[Attestation, ...]


def status(ledger: Ledger, run: str) -> Status:
    """Where a run stands."""
    assert isinstance(ledger.records.get(f"run/{run}/proposal"), Proposal)
    generation = len(ledger.all(Generation, f"run/{run}/"))
    marks = {key.split("/")[2] for key in ledger.records if key.startswith(f"run/{run}/")}
    finished = f"run/{run}/finished/{generation:04}" in ledger.records
    state = "finished" if finished else "proposed"
    for mark, word in (("rejected", "rejected"), ("activated", "active"), ("stopped", "stopped")):
        if mark in marks and not finished:
            state = word
    latest = max(ledger.standing(run), key=lambda model: model.round, default=None)
    current = [opening for opening in ledger.attempts(run) if opening.generation == generation]
    opening = max(current, key=lambda found: (found.round, found.attempt), default=None)
    if opening is not None and latest is not None and latest.round > opening.round:
        opening = None
    attested = [] if latest is None else ledger.all(Attestation, f"run/{run}/")
    return Status(
        state=state,
        approvals=_decided(ledger, run, "approval"),
        rejections=_decided(ledger, run, "rejection"),
        stops=_decided(ledger, run, "stop"),
        generation=generation,
        latest=latest,
        opening=opening,
        updates=() if opening is None else tuple(ledger.counting(opening)),
        selection=None if opening is None else ledger.selection(opening),
        attestations=tuple(
            found for found in attested if latest and (found.round, found.attempt) == (latest.round, latest.attempt)
        ),
    )


def only(found: Iterable[R]) -> R | None:
    """The one of them, or None; there may not be more."""
    items = list(found)
    assert len(items) <= 1
    return items[0] if items else None


def _decided(ledger: Ledger, run: str, kind: str) -> tuple[str, ...]:
    return tuple(sorted(decision.msp for decision in ledger.all(Decision, f"run/{run}/{kind}/")))
