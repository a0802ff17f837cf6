"""The form in which a run is written down for `consilo run propose`, and the specification that it means. Pure; no I/O.

TOML (or the same as JSON). What has no default must be there; what is not known is refused:

    name = "digits-1"
    rounds = 10
    aggregators = ["HospitalA/aggregator"]
    minimum = 3                      # fewest updates that make a global model

    [task]
    name = "digits"                  # as silos' operators know it
    version = "1"                    # default: that of the class below, else "1"
    parameters = { learning_rate = 0.05 }

    [initial]                        # one of the three
    class = "consilo.tasks.digits:Digits"   # and seed = 1 (the default)
    file = "initial.safetensors"
    run = "digits-0"                 # an earlier run's global model, and round = 10; default: the latest

    [silos]                          # each with the most samples that it may claim
    "HospitalA/silo" = 2000
    "HospitalB/silo" = 2000

Defaults: `organisations`: all that are named, and the proposer's. `verifiers`, `update_readers`: none. `cohort`: "all",
or a count (3), or a fraction (0.5). `threshold`: the whole cohort. `grace`: "10s". `deadline`: "1h". `strategy`:
"fedavg", or { name, version, parameters }. `selection`: "all", or { policy = "top_k", metric, k, order = "highest" },
or { policy = "at_least", metric, value }. `approvals_required`: all organisations. `attestations_required`: 0.
`mismatches_to_annul`: 1. `retention_rounds`: none.

Lists may be in any order. Numbers that are not integers are written as such here, and travel as strings.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from consilo.cli.exits import USAGE, CliError
from consilo.protocol.specification import Artifact, FractionCohort, Specification
from consilo.protocol.tensors import TensorSchema
from consilo.protocol.values import NAME_PATTERN, Label, Member, Msp, Name, Samples, format_number, organisation_of

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|min|h|d)", re.ASCII)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TaskForm(_Part):
    """The training code."""

    name: Label
    version: Label | None = None
    parameters: dict[str, JsonValue] = {}


class InitialForm(_Part):
    """Where the initial model comes from: a task's class and a seed, a file, or a global model of an earlier run."""

    class_: Annotated[str | None, Field(alias="class")] = None
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 1
    file: str | None = None
    run: Name | None = None
    round: Annotated[int | None, Field(ge=0)] = None

    @model_validator(mode="after")
    def _check(self) -> InitialForm:
        if sum(given is not None for given in (self.class_, self.file, self.run)) > 1:
            raise ValueError("give one of `class`, `file` and `run`")
        if self.round is not None and self.run is None:
            raise ValueError("`round` is for `run`: the number of its global model")
        return self


class StrategyForm(_Part):
    """How updates are combined."""

    name: str
    version: int = 1
    parameters: dict[str, JsonValue] = {}


class SelectionForm(_Part):
    """Which updates count."""

    policy: Literal["all", "top_k", "at_least"]
    metric: str | None = None
    k: int | None = None
    order: Literal["highest", "lowest"] | None = None
    value: float | None = None


class RunForm(_Part):
    """A run as its proposer writes it down."""

    name: Name | None = None
    task: TaskForm
    initial: InitialForm = InitialForm()
    rounds: int
    silos: Annotated[dict[Member, Samples], Field(min_length=1)]
    aggregators: list[Member]
    verifiers: list[Member] = []
    update_readers: list[Member] = []
    organisations: list[Msp] | None = None
    cohort: Literal["all"] | int | float = "all"
    threshold: int | None = None
    minimum: int
    grace: str = "10s"
    deadline: str = "1h"
    selection: SelectionForm = SelectionForm(policy="all")
    strategy: StrategyForm = StrategyForm(name="fedavg")
    approvals_required: int | None = None
    attestations_required: int = 0
    mismatches_to_annul: int = 1
    retention_rounds: int | None = None

    @field_validator("selection", mode="before")
    @classmethod
    def _policy(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value

    @field_validator("strategy", mode="before")
    @classmethod
    def _strategy(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("grace", "deadline")
    @classmethod
    def _duration(cls, value: str) -> str:
        duration_ms(value)
        return value


def read_form(value: Any) -> RunForm:
    """Read the form.

    Raises:
        CliError: `form-invalid`, naming the first field that is wrong.
    """
    try:
        return RunForm.model_validate(value)
    except ValidationError as error:
        raise _invalid(error) from None


def specification_of(
    form: RunForm, *, proposer: str, version: str, initial: Artifact, tensors: TensorSchema
) -> Specification:
    """The specification that a form means.

    Args:
        form: the form.
        proposer: MSP id of the proposer's organisation.
        version: of the task.
        initial: the initial model.
        tensors: its schema.

    Raises:
        CliError: `form-invalid`: it is no specification that the ledger admits.
    """
    members = [*form.silos, *form.aggregators, *form.verifiers, *form.update_readers]
    organisations = form.organisations or [proposer, *map(organisation_of, members)]
    cohort = _cohort(form.cohort)
    value: dict[str, Any] = {
        "task": {"name": form.task.name, "version": version, "parameters": exact(form.task.parameters)},
        "initial": initial.model_dump(),
        "tensors": tensors.model_dump(),
        "organisations": _sorted(organisations),
        "silos": tuple({"member": member, "max_samples": form.silos[member]} for member in sorted(form.silos)),
        "aggregators": _sorted(form.aggregators),
        "verifiers": _sorted(form.verifiers),
        "update_readers": _sorted(form.update_readers),
        "rounds": form.rounds,
        "cohort": cohort,
        "threshold": form.threshold if form.threshold is not None else _cohort_size(cohort, len(form.silos)),
        "minimum": form.minimum,
        "grace_ms": duration_ms(form.grace),
        "deadline_ms": duration_ms(form.deadline),
        "selection": _selection(form.selection),
        "strategy": {
            "name": form.strategy.name,
            "version": form.strategy.version,
            "parameters": exact(form.strategy.parameters),
        },
        "approvals_required": form.approvals_required or len(set(organisations)),
        "attestations_required": form.attestations_required,
        "mismatches_to_annul": form.mismatches_to_annul,
        "retention_rounds": form.retention_rounds,
    }
    try:
        return Specification.model_validate(value)
    except ValidationError as error:
        raise _invalid(error) from None


def check_name(run: str) -> None:
    """Check the name of a run.

    Raises:
        CliError: `form-invalid`.
    """
    if re.fullmatch(NAME_PATTERN, run, re.ASCII) is None:
        message = f"{run[:80]!r} is no name of a run: lower-case letters, digits and inner hyphens, at most 63"
        raise CliError("form-invalid", message, exit_code=USAGE)


def exact(value: Any) -> Any:
    """A JSON value in which numbers that are not integers are strings, as records spell them.

    Raises:
        CliError: `form-invalid`: NaN or infinity.
    """
    match value:
        case float():
            try:
                return format_number(value)
            except ValueError as error:
                raise CliError("form-invalid", str(error), exit_code=USAGE) from None
        case dict():
            return {key: exact(item) for key, item in value.items()}
        case list() | tuple():
            return [exact(item) for item in value]
        case _:
            return value


def duration_ms(text: str) -> int:
    """A duration such as `30s`, `1.5h` or `2d`, in milliseconds.

    Raises:
        ValueError: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:32]!r} is no duration: write e.g. 500ms, 30s, 5m, 2h or 1d")
    return round(float(match[1]) * _UNITS_MS[match[2]])


def _cohort(cohort: float | int | str) -> dict[str, Any]:
    match cohort:
        case int():
            return {"kind": "count", "count": cohort}
        case float():
            return {"kind": "fraction", "fraction": exact(cohort)}
        case _:
            return {"kind": "all"}


def _cohort_size(cohort: dict[str, Any], silos: int) -> int:
    # As the rules count it: of the decimal as written.
    match cohort["kind"]:
        case "count":
            return min(int(cohort["count"]), silos)
        case "fraction":
            try:
                return FractionCohort.model_validate(cohort).size(silos)
            except ValidationError as error:
                raise _invalid(error, "cohort") from None
        case _:
            return silos


def _selection(form: SelectionForm) -> dict[str, Any]:
    given = {key: value for key, value in form.model_dump().items() if value is not None}
    if form.policy == "top_k":
        given.setdefault("order", "highest")
    value: dict[str, Any] = exact(given)
    return value


def _sorted(values: list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _invalid(error: ValidationError, *within: str) -> CliError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in (*within, *first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return CliError("form-invalid", f"{place}: {message}" if place else message, exit_code=USAGE)
