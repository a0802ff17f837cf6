"""The specification of a run: what the organisations agree on before anything is trained. Pure; no I/O."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from consilo.protocol.model import Record
from consilo.protocol.tensors import TensorSchema
from consilo.protocol.values import (
    Digest,
    Duration,
    Label,
    Member,
    Msp,
    Number,
    ObjectKey,
    RoundNumber,
    Samples,
    organisation_of,
    parse_number,
)

RULES_VERSION: Final = 1
"""Version of the rules that this code applies. A run is replayed by the rules that it was proposed under."""

MAX_MEMBERS: Final = 10_000
MAX_PARAMETER_DEPTH: Final = 8


def _check_depth(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    # Well below what canonical JSON allows, so that records and blocks may hold a specification at any depth.
    level: list[JsonValue] = list(parameters.values())
    for _ in range(MAX_PARAMETER_DEPTH):
        deeper = (value for value in level if isinstance(value, dict | list))
        level = [item for value in deeper for item in (value.values() if isinstance(value, dict) else value)]
    if level:
        raise ValueError(f"parameters are nested deeper than {MAX_PARAMETER_DEPTH}")
    return parameters


Parameters = Annotated[dict[Label, JsonValue], Field(max_length=256), AfterValidator(_check_depth)]
Members = Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)]


class Artifact(Record):
    """A model's file: in whose store it lies, under which key, and what its bytes are.

    Attributes:
        organisation: in whose store it lies.
        key: of the object there.
        sha256: of all its bytes.
        size_bytes: of the file; what the run's tensor schema says.
    """

    organisation: Msp
    key: ObjectKey
    sha256: Digest
    size_bytes: Annotated[int, Field(ge=1, le=2**44)]


class TaskReference(Record):
    """The training code that every silo's operator installs: a name, a version, and parameters that all silos share.

    Attributes:
        name: by which silos find it among the tasks that they have installed.
        version: that the installed code must have, as its author writes it.
        parameters: the same for all silos, in the words of the task.
    """

    name: Label
    version: Label
    parameters: Parameters


class StrategyReference(Record):
    """How selected updates become the next global model: a name, a version of its arithmetic, parameters.

    Attributes:
        name: e.g. `fedavg`.
        version: of its arithmetic; the same version gives the same bytes for ever.
        parameters: those that the strategy takes, no other.
    """

    name: Label
    version: Annotated[int, Field(ge=1, le=2**31)]
    parameters: Parameters


class SiloTerms(Record):
    """One silo of the run, and the most samples that its updates may claim.

    Attributes:
        member: the silo.
        max_samples: the most samples that an update of it may claim, and so the most weight that it can have.
    """

    member: Member
    max_samples: Samples


class WholeCohort(Record):
    """Every silo of an approving organisation trains in every attempt."""

    kind: Literal["all"]

    def size(self, eligible: int) -> int:
        """How many of the eligible silos are asked."""
        return eligible


class FractionCohort(Record):
    """A sample: the fraction of the eligible silos, rounded up."""

    kind: Literal["fraction"]
    fraction: Number

    @model_validator(mode="after")
    def _check(self) -> FractionCohort:
        if not 0.0 < parse_number(self.fraction) <= 1.0:
            raise ValueError("the fraction must be above 0 and at most 1")
        return self

    def size(self, eligible: int) -> int:
        """How many of the eligible silos are asked."""
        # Of the decimal as written: a tenth of ten is one, though the float 0.1 is a little above a tenth.
        return math.ceil(Fraction(self.fraction) * eligible)


class CountCohort(Record):
    """A sample of a fixed number of silos."""

    kind: Literal["count"]
    count: Annotated[int, Field(ge=1, le=MAX_MEMBERS)]

    def size(self, eligible: int) -> int:
        """How many of the eligible silos are asked."""
        return min(self.count, eligible)


CohortRule = Annotated[WholeCohort | FractionCohort | CountCohort, Field(discriminator="kind")]


class SelectAll(Record):
    """Every update counts."""

    policy: Literal["all"]


class SelectTop(Record):
    """The k best updates by a metric; ties go to the smaller member id.

    Attributes:
        metric: name of the metric; updates without it are left out.
        k: how many updates, at least the run's `minimum`.
        order: whether high or low values are the best.
    """

    policy: Literal["top_k"]
    metric: Label
    k: Annotated[int, Field(ge=1, le=MAX_MEMBERS)]
    order: Literal["highest", "lowest"]


class SelectAtLeast(Record):
    """The updates whose metric is at least the value.

    Attributes:
        metric: name of the metric; updates without it are left out.
        value: the least value that is selected.
    """

    policy: Literal["at_least"]
    metric: Label
    value: Number


SelectionPolicy = Annotated[SelectAll | SelectTop | SelectAtLeast, Field(discriminator="policy")]


class Specification(Record):
    """What the named organisations agree on.

    Durations are in milliseconds. Lists are sorted and without repetitions. `1 <= minimum <= threshold <= cohort`.

    Attributes:
        rules: version of the rules that the run is made and replayed under.
        task: what the silos train.
        initial: global 0, made by the proposer; lies in a named organisation's store.
        tensors: names, dtypes and shapes of the model; every artifact of the run has exactly these.
        organisations: who is asked to approve; their members may read the globals.
        silos: who trains, each with a cap on the samples that it may claim.
        aggregators: who may make globals; several may stand by, the ledger admits one outcome.
        verifiers: who may recompute globals and attest them; they may read updates.
        update_readers: who else may read updates.
        rounds: number of global models to make after global 0.
        cohort: which silos are asked in an attempt: all, a fraction, or a count.
        threshold: updates with which an attempt may be closed once the grace is over.
        minimum: updates without which an attempt is never closed, and fewest that may be selected.
        grace_ms: from the update that meets the threshold on, for those that are still under way.
        deadline_ms: from an attempt's opening on, after which `minimum` updates are enough; from its closing on, after
            which any participant may reopen it when no global has come.
        selection: which of the updates go into the next global.
        strategy: how the selected updates become the next global.
        approvals_required: organisations that must approve before the run is active, the proposer's included; so many
            can also stop it.
        attestations_required: verifiers that must attest a global as `ok` before the next round opens; 0: none.
        mismatches_to_annul: verifiers whose `mismatch` annuls a global.
        retention_rounds: rounds for which stores have to keep artifacts: older ones count as expired, not as missing;
            null: for ever.
    """

    schema_version: Literal[1] = 1
    rules: Annotated[int, Field(ge=1, le=2**31)] = RULES_VERSION
    task: TaskReference
    initial: Artifact
    tensors: TensorSchema
    organisations: Annotated[tuple[Msp, ...], Field(min_length=1, max_length=1000)]
    silos: Annotated[tuple[SiloTerms, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    aggregators: Annotated[Members, Field(min_length=1)]
    verifiers: Members
    update_readers: Members
    rounds: Annotated[RoundNumber, Field(ge=1)]
    cohort: CohortRule
    threshold: Annotated[int, Field(ge=1)]
    minimum: Annotated[int, Field(ge=1)]
    grace_ms: Duration
    deadline_ms: Annotated[Duration, Field(ge=1)]
    selection: SelectionPolicy
    strategy: StrategyReference
    approvals_required: Annotated[int, Field(ge=1)]
    attestations_required: Annotated[int, Field(ge=0)]
    mismatches_to_annul: Annotated[int, Field(ge=1)]
    retention_rounds: Annotated[int, Field(ge=1)] | None

    @model_validator(mode="after")
    def _check(self) -> Specification:
        silos = tuple(terms.member for terms in self.silos)
        lists: dict[str, tuple[str, ...]] = {
            "organisations": self.organisations,
            "silos": silos,
            "aggregators": self.aggregators,
            "verifiers": self.verifiers,
            "update_readers": self.update_readers,
        }
        for field, values in lists.items():
            if list(values) != sorted(set(values)):
                raise ValueError(f"{field} must be sorted, each entry once")
        for field in ("silos", "aggregators", "verifiers", "update_readers"):
            for member in lists[field]:
                if organisation_of(member) not in self.organisations:
                    raise ValueError(f"{field} names {member}, whose organisation the run does not name")
        cohort = self.cohort.size(len(silos))
        if not self.minimum <= self.threshold <= cohort:
            raise ValueError(f"1 <= minimum <= threshold <= cohort ({cohort}) does not hold")
        if isinstance(self.selection, SelectTop) and self.selection.k < self.minimum:
            raise ValueError("top_k selects fewer updates than the minimum")
        if self.approvals_required > len(self.organisations):
            raise ValueError("more approvals are required than organisations are named")
        # Else verifiers could all have answered, and the global be neither attested nor annulled, for ever.
        if self.verifiers and self.attestations_required + self.mismatches_to_annul > len(self.verifiers) + 1:
            raise ValueError("attestations_required + mismatches_to_annul may be at most the number of verifiers + 1")
        if not self.verifiers and self.attestations_required:
            raise ValueError("attestations are required but no verifier is named")
        if self.initial.organisation not in self.organisations:
            raise ValueError("the initial artifact lies with an organisation that the run does not name")
        if self.initial.size_bytes != self.tensors.artifact_bytes:
            raise ValueError(f"by its schema the initial artifact has {self.tensors.artifact_bytes} bytes")
        return self

    def can_run_with(self, organisations: Collection[str]) -> bool:
        """Whether the approval of these organisations is enough for a run that can always go on.

        There are as many as required; among their members are an aggregator, `minimum` silos, and so many verifiers
        that every global can be attested or annulled. Else a run could become active and never make a global.
        """

        def members(named: Iterable[str]) -> int:
            return sum(organisation_of(member) in organisations for member in named)

        verdicts = self.attestations_required + self.mismatches_to_annul - 1 if self.attestations_required else 0
        return (
            sum(msp in organisations for msp in self.organisations) >= self.approvals_required
            and members(self.aggregators) >= 1
            and members(terms.member for terms in self.silos) >= self.minimum
            and members(self.verifiers) >= verdicts
        )

    def terms_of(self, member: str) -> SiloTerms | None:
        """The terms of a silo, or None when the run does not name it."""
        return next((terms for terms in self.silos if terms.member == member), None)
