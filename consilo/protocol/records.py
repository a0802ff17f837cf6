"""The records on the ledger, other than the specification. Each is written once, under a key of keys.py. Pure; no I/O.

All times are the transaction's, in milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from consilo.protocol.model import Record
from consilo.protocol.specification import Artifact, Specification, StrategyReference
from consilo.protocol.values import (
    AttemptNumber,
    Digest,
    Host,
    Member,
    Metrics,
    Milliseconds,
    Msp,
    Name,
    RoundNumber,
    Samples,
    Serial,
    Text,
    Url,
)

CertificateText = Annotated[str, Field(min_length=1, max_length=16_384)]
"""A certificate: standard base64 of its DER."""

Hosts = Annotated[tuple[Host, ...], Field(max_length=32)]
ExclusionReason = Literal["unavailable", "digest-mismatch", "malformed", "not-finite"]
"""It cannot be had; is not the bytes of its digest; has not the schema's header; holds an infinity or NaN."""


class LedgerRecord(Record):
    """Base of what is written to the ledger: carries the version of its form."""

    schema_version: Literal[1] = 1


class Organisation(LedgerRecord):
    """One registration of an organisation. The highest version counts.

    Attributes:
        version: 1 for the first registration, then one more each time.
        roots: the CA certificates to which its members' chains must lead.
        gateway: base URL of its ledger service.
        stores: hosts at which its objects may lie; clients reach no other.
    """

    msp: Msp
    version: Annotated[int, Field(ge=1, le=9_999)]
    roots: Annotated[tuple[CertificateText, ...], Field(min_length=1, max_length=8)]
    gateway: Url
    stores: Hosts
    registered_at: Milliseconds


class Revocation(LedgerRecord):
    """A certificate that no longer counts, from `revoked_at` on."""

    msp: Msp
    serial: Serial
    reason: Text
    revoked_by: Member
    revoked_at: Milliseconds


class Applied(LedgerRecord):
    """That a payload (the key holds its digest) was applied: makes its repetition a success without effect."""

    member: Member
    applied_at: Milliseconds


class Proposal(LedgerRecord):
    """A proposed run."""

    run: Name
    specification: Specification
    proposed_by: Member
    proposed_at: Milliseconds


class Decision(LedgerRecord):
    """An organisation's word on a run: its approval, rejection or wish to stop."""

    msp: Msp
    decided_by: Member
    decided_at: Milliseconds
    reason: Text


class Marker(LedgerRecord):
    """That something became true: a run activated, rejected, stopped, finished."""

    by: Member
    at: Milliseconds


class Generation(LedgerRecord):
    """An annulment starts a new generation: what was made from the annulled global on is void.

    `round` and `attempt` name the annulled global; the run goes back to the round before it.

    Attributes:
        generation: its number, from 1 on; the run begins in generation 0.
        sha256: of the annulled global.
    """

    generation: Annotated[int, Field(ge=1)]
    round: RoundNumber
    attempt: AttemptNumber
    sha256: Digest
    started_at: Milliseconds


class RoundEntry(LedgerRecord):
    """The attempt with which a generation entered a round. A generation's entries are contiguous in rounds."""

    attempt: AttemptNumber


class GlobalReference(Record):
    """One global: its round, the attempt (of the round before) that made it, its digest. Global 0 has attempt 0."""

    round: RoundNumber
    attempt: AttemptNumber
    sha256: Digest


class UpdateReference(Record):
    """Where a member's update stands: the attempt in which it was published."""

    member: Member
    attempt: AttemptNumber


class Exclusion(Record):
    """An update that does not count, and why."""

    member: Member
    reason: ExclusionReason


class Opening(LedgerRecord):
    """One attempt at a round: on which base, who is asked, which updates carry over from the attempt before.

    Attributes:
        generation: in which it was opened.
        base: the global model to train on.
        cohort: the silos that are asked, those whose updates carry over included.
        carried: updates of earlier attempts that count in this one.
        excluded: updates that an aggregator found unusable in the attempt before.
        reason: what opened it.
        deadline_at: from when on `minimum` updates are enough, or the attempt may be reopened.
    """

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    generation: Annotated[int, Field(ge=0)]
    base: GlobalReference
    cohort: tuple[Member, ...]
    carried: tuple[UpdateReference, ...]
    excluded: tuple[Exclusion, ...]
    reason: Literal["global-published", "reopened", "annulled"]
    opened_by: Member
    opened_at: Milliseconds
    deadline_at: Milliseconds


class Update(LedgerRecord):
    """Metadata of one silo's local model of one round.

    Attributes:
        base: digest of the global model that it was trained on.
        artifact: the local model, in the store of the silo's organisation.
        num_samples: samples that it was trained on, as the silo says: its weight.
        metrics: numbers by name, as the silo says; selection policies read them.
    """

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    member: Member
    base: Digest
    artifact: Artifact
    num_samples: Samples
    metrics: Metrics
    published_at: Milliseconds


class SelectedUpdate(Record):
    """An input of the next global model: whose, from which attempt, its digest and weight."""

    member: Member
    attempt: AttemptNumber
    sha256: Digest
    num_samples: Samples


class LeftOut(Record):
    """An update that was not selected, and why."""

    member: Member
    reason: Literal["metric-missing", "below-value", "not-among-best"]


class Selection(LedgerRecord):
    """The updates that go into the next global model, computed from their metadata. Sorted by member.

    Attributes:
        selected: the inputs of the next global, with their weights.
        left_out: the other updates.
        total_samples: sum of the selected updates' samples.
        updates: digest of the set of updates that the closer saw.
        publish_by: when the global should be there; from then on any participant may reopen the round.
    """

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    selected: Annotated[tuple[SelectedUpdate, ...], Field(min_length=1)]
    left_out: tuple[LeftOut, ...]
    total_samples: Annotated[int, Field(ge=1)]
    updates: Digest
    closed_by: Member
    closed_at: Milliseconds
    publish_by: Milliseconds


class GlobalModel(LedgerRecord):
    """A global model: made from the recorded selection of `round - 1`, `attempt`; global 0 from nothing (attempt 0).

    Attributes:
        generation: in which it was made.
        artifact: the model, in the store of its aggregator's organisation; of global 0, the specification's.
        inputs: the recorded selection; none for global 0.
        strategy: the specification's.
    """

    run: Name
    round: RoundNumber
    attempt: AttemptNumber
    generation: Annotated[int, Field(ge=0)]
    artifact: Artifact
    inputs: tuple[SelectedUpdate, ...]
    strategy: StrategyReference
    published_by: Member
    published_at: Milliseconds

    @property
    def reference(self) -> GlobalReference:
        """How other records name this global."""
        return GlobalReference(round=self.round, attempt=self.attempt, sha256=self.artifact.sha256)


class Attestation(LedgerRecord):
    """A verifier's signed word that it recomputed a global model, and whether the bytes were the same."""

    verifier: Member
    round: RoundNumber
    attempt: AttemptNumber
    sha256: Digest
    verdict: Literal["ok", "mismatch"]
    detail: Text
    attested_at: Milliseconds


class Evaluation(LedgerRecord):
    """How a global model does on a silo's own validation data."""

    member: Member
    round: RoundNumber
    attempt: AttemptNumber
    sha256: Digest
    num_samples: Samples
    metrics: Metrics
    reported_at: Milliseconds


class Access(LedgerRecord):
    """That a reader was given the right to one artifact, which lies in the store of `owner`."""

    reader: Member
    owner: Msp
    sha256: Digest
    recorded_at: Milliseconds
