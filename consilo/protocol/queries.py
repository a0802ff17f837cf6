"""The questions that a ledger answers about its state, by name: the counterpart of the transitions. Pure; no I/O.

Each is a pure function of the state and its arguments, so that it runs where the state is: in the embedded ledger's
process, or in chaincode beside a peer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from consilo.protocol import keys
from consilo.protocol.access import artifact_of, may_read
from consilo.protocol.authority import current_organisation, is_revoked
from consilo.protocol.bodies import ArtifactReference
from consilo.protocol.model import Record
from consilo.protocol.records import Organisation
from consilo.protocol.refusals import Refusal
from consilo.protocol.retention import ArtifactsOfRun, NamedArtifacts, artifacts_of_run
from consilo.protocol.specification import Artifact
from consilo.protocol.state import State
from consilo.protocol.values import Member, Msp, Name, RoundNumber, Serial
from consilo.protocol.views import RoundSummary, RunStatus, round_summary, run_names, run_status


class NoArguments(Record):
    """For queries that take none."""


class OfOrganisation(Record):
    """Names an organisation."""

    msp: Msp


class Certificates(Record):
    """Certificates of an organisation, by serial number."""

    msp: Msp
    serials: Annotated[tuple[Serial, ...], Field(max_length=8)]


class OfRun(Record):
    """Names a run."""

    run: Name


class OfRound(Record):
    """Names a round of a run."""

    run: Name
    round: RoundNumber


class Reading(Record):
    """A reader and what it wants to read."""

    run: Name
    reader: Member
    artifact: ArtifactReference


class Page(Record):
    """A page of records: those after a key that start with a prefix (which ends in a slash)."""

    prefix: Annotated[str, Field(min_length=2, max_length=512, pattern=r"/$")]
    after: Annotated[str, Field(max_length=1024)]
    limit: Annotated[int, Field(ge=1, le=1000)]


class Organisations(Record):
    """All organisations, each as its latest registration says."""

    organisations: tuple[Organisation, ...]


class Standing(Record):
    """What a gateway needs to judge a token: the registration, and which certificates are revoked."""

    organisation: Organisation | None
    revoked: tuple[Serial, ...]


class RunNames(Record):
    """Names of all runs."""

    runs: tuple[Name, ...]


class Permission(Record):
    """Whether a reader may have an artifact now, and where it lies. `artifact` is None when there is none."""

    allowed: bool
    artifact: Artifact | None


class KeyedRecord(Record):
    """One record of the ledger: its key and its canonical JSON."""

    key: str
    record: str


class Records(Record):
    """A page of records in key order. `after` continues it; None on the last page."""

    records: tuple[KeyedRecord, ...]
    after: str | None


@dataclass(frozen=True)
class Query:
    """One kind of question: its name, the models of arguments and answer, and the function that answers it."""

    name: str
    arguments: type[Record]
    answer: type[Record]
    run: Callable[[State, Any], Record]


def answer(state: State, name: str, arguments: Record) -> Record:
    """Answer a query.

    Raises:
        Refusal: `run-unknown`, `organisation-unknown` or `attempt-not-open`: there is no such thing.
    """
    return QUERIES[name].run(state, arguments)


def _organisation(state: State, arguments: OfOrganisation) -> Organisation:
    found = current_organisation(state, arguments.msp)
    if found is None:
        raise Refusal("organisation-unknown", f"{arguments.msp} is not registered on this ledger")
    return found


def _organisations(state: State, _: NoArguments) -> Organisations:
    latest: dict[str, Organisation] = {}
    for _key, data in state.range("organisation/", keys.end_of("organisation/")):
        found = Organisation.decode(data)
        latest[found.msp] = found
    return Organisations(organisations=tuple(latest[msp] for msp in sorted(latest)))


def _standing(state: State, arguments: Certificates) -> Standing:
    revoked = tuple(serial for serial in arguments.serials if is_revoked(state, arguments.msp, serial))
    return Standing(organisation=current_organisation(state, arguments.msp), revoked=revoked)


def _run_names(state: State, _: NoArguments) -> RunNames:
    return RunNames(runs=tuple(run_names(state)))


def _run_status(state: State, arguments: OfRun) -> RunStatus:
    return run_status(state, arguments.run)


def _round(state: State, arguments: OfRound) -> RoundSummary:
    return round_summary(state, arguments.run, arguments.round)


def _permission(state: State, arguments: Reading) -> Permission:
    return Permission(
        allowed=may_read(state, arguments.run, arguments.reader, arguments.artifact),
        artifact=artifact_of(state, arguments.run, arguments.artifact),
    )


def _records(state: State, arguments: Page) -> Records:
    start = max(arguments.prefix, arguments.after + "\0" if arguments.after else "")
    found: list[KeyedRecord] = []
    for key, data in state.range(start, keys.end_of(arguments.prefix)):
        if len(found) == arguments.limit:
            return Records(records=tuple(found), after=found[-1].key)
        found.append(KeyedRecord(key=key, record=data.decode()))
    return Records(records=tuple(found), after=None)


QUERIES: Final[dict[str, Query]] = {
    query.name: query
    for query in (
        Query("organisation", OfOrganisation, Organisation, _organisation),
        Query("organisations", NoArguments, Organisations, _organisations),
        Query("standing", Certificates, Standing, _standing),
        Query("run_names", NoArguments, RunNames, _run_names),
        Query("run_status", OfRun, RunStatus, _run_status),
        Query("round", OfRound, RoundSummary, _round),
        Query("permission", Reading, Permission, _permission),
        Query("records", Page, Records, _records),
        Query("artifacts", ArtifactsOfRun, NamedArtifacts, artifacts_of_run),
    )
}
"""All queries by name."""
