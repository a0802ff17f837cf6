"""The bodies of the transactions: what a member signs. Pure; no I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from consilo.protocol.model import Record
from consilo.protocol.records import CertificateText, Exclusion, Hosts, SelectedUpdate
from consilo.protocol.specification import Artifact, Specification, StrategyReference
from consilo.protocol.values import (
    AttemptNumber,
    Digest,
    Member,
    Metrics,
    Name,
    RoundNumber,
    Samples,
    Serial,
    Text,
    Url,
)


class RegisterOrganisation(Record):
    """The sender's organisation: its CA roots, its gateway's URL, its stores' hosts."""

    version: Annotated[int, Field(ge=1, le=9_999)]
    roots: Annotated[tuple[CertificateText, ...], Field(min_length=1, max_length=8)]
    gateway: Url
    stores: Hosts


class RevokeMember(Record):
    """A certificate of the sender's organisation that no longer counts."""

    serial: Serial
    reason: Text


class ProposeRun(Record):
    """A run and its specification. It counts as the approval of the proposer's organisation."""

    run: Name
    specification: Specification


class ApproveRun(Record):
    """The organisation agrees to the specification of this digest."""

    run: Name
    specification: Digest


class RejectRun(Record):
    """The organisation does not agree."""

    run: Name
    reason: Text


class PublishGlobal(Record):
    """Global `round`, made from the selection of (`round - 1`, `attempt`); global 0 has attempt 0 and no inputs."""

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    artifact: Artifact
    inputs: tuple[SelectedUpdate, ...]
    strategy: StrategyReference


class GlobalArtifact(Record):
    """Names a global model for reading."""

    kind: Literal["global"]
    round: RoundNumber
    attempt: AttemptNumber
    sha256: Digest


class UpdateArtifact(Record):
    """Names an update for reading."""

    kind: Literal["update"]
    round: RoundNumber
    attempt: AttemptNumber
    member: Member
    sha256: Digest


ArtifactReference = Annotated[GlobalArtifact | UpdateArtifact, Field(discriminator="kind")]


class RecordAccess(Record):
    """The sender is going to read these artifacts."""

    run: Name
    artifacts: Annotated[tuple[ArtifactReference, ...], Field(min_length=1, max_length=1000)]


class PublishUpdate(Record):
    """The sender's local model of this round."""

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    base: Digest
    artifact: Artifact
    num_samples: Samples
    metrics: Metrics


class CloseRound(Record):
    """The attempt has enough updates. `updates` is the digest of the set that the sender saw (selection.py)."""

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    updates: Digest


class ReopenRound(Record):
    """The attempt cannot lead to a global model: the next one, without the excluded updates."""

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    excluded: Annotated[tuple[Exclusion, ...], Field(max_length=10_000)]

    @model_validator(mode="after")
    def _check(self) -> ReopenRound:
        members = [exclusion.member for exclusion in self.excluded]
        if members != sorted(set(members)):
            raise ValueError("excluded must be sorted by member, each once")
        return self


class AttestGlobal(Record):
    """The sender recomputed global (`round`, `attempt`), and what came of it."""

    run: Name
    round: Annotated[RoundNumber, Field(ge=1)]
    attempt: AttemptNumber
    sha256: Digest
    verdict: Literal["ok", "mismatch"]
    detail: Text


class ReportEvaluation(Record):
    """How global (`round`, `attempt`) does on the sender's own validation data."""

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    sha256: Digest
    num_samples: Samples
    metrics: Metrics


class StopRun(Record):
    """The organisation wants the run to end."""

    run: Name
    reason: Text
