"""Records in words, for people. Pure; no I/O."""

from __future__ import annotations

from consilo.cli.output import duration, size
from consilo.protocol.records import Decision
from consilo.protocol.specification import (
    CountCohort,
    FractionCohort,
    SelectAll,
    SelectAtLeast,
    SelectTop,
    Specification,
    WholeCohort,
)
from consilo.protocol.values import organisation_of


def specification_in_words(specification: Specification) -> dict[str, str]:
    """What the organisations agree on, by headings."""
    spec = specification
    tensors = spec.tensors
    elements = sum(tensor.elements for tensor in tensors.tensors)
    return {
        "task": f"{spec.task.name}, version {spec.task.version}{_parameters(spec.task.parameters)}",
        "model": f"{len(tensors.tensors)} tensors, {elements:,} elements, {size(tensors.artifact_bytes)}",
        "initial model": f"SHA-256 {spec.initial.sha256}, in the store of {spec.initial.organisation}",
        "rounds": str(spec.rounds),
        "organisations": f"{', '.join(spec.organisations)}; {spec.approvals_required} must approve",
        "silos": ", ".join(f"{terms.member} (at most {terms.max_samples} samples)" for terms in spec.silos),
        "asked each round": _cohort(spec),
        "round closes": (
            f"when all have published, {duration(spec.grace_ms)} after {spec.threshold} have, or after "
            f"{duration(spec.deadline_ms)} if {spec.minimum} have"
        ),
        "selection": _selection(spec),
        "strategy": f"{spec.strategy.name}, version {spec.strategy.version}{_parameters(spec.strategy.parameters)}",
        "aggregators": ", ".join(spec.aggregators),
        "verifiers": _verifiers(spec),
        "may read updates": ", ".join(_update_readers(spec)),
        "may read globals": f"every member of {', '.join(spec.organisations)}",
        "retention": "all is kept" if spec.retention_rounds is None else f"{spec.retention_rounds} rounds",
    }


def decisions_in_words(decisions: tuple[Decision, ...]) -> str:
    """Who decided so, and why."""
    texts = (f"{each.msp}{f' ({each.reason})' if each.reason else ''}" for each in decisions)
    return ", ".join(texts) or "none"


def _parameters(parameters: dict[str, object] | object) -> str:
    if not isinstance(parameters, dict) or not parameters:
        return ""
    return " with " + ", ".join(f"{name} = {value}" for name, value in sorted(parameters.items()))


def _cohort(spec: Specification) -> str:
    match spec.cohort:
        case WholeCohort():
            return "every silo of an organisation that approved"
        case FractionCohort(fraction=fraction):
            return f"a sample: the fraction {fraction} of the silos"
        case CountCohort(count=count):
            return f"a sample of {count} silos"


def _selection(spec: Specification) -> str:
    match spec.selection:
        case SelectAll():
            return "every update counts"
        case SelectTop(metric=metric, k=k, order=order):
            return f"the {k} updates with the {order} {metric}"
        case SelectAtLeast(metric=metric, value=value):
            return f"the updates whose {metric} is at least {value}"


def _verifiers(spec: Specification) -> str:
    if not spec.verifiers:
        return "none"
    needed = f"{spec.attestations_required} attestations are needed before the next round opens"
    return f"{', '.join(spec.verifiers)}; {needed}; {spec.mismatches_to_annul} mismatches annul a global model"


def _update_readers(spec: Specification) -> list[str]:
    own = sorted({organisation_of(terms.member) for terms in spec.silos})
    readers = sorted({*spec.aggregators, *spec.verifiers, *spec.update_readers})
    return [*readers, f"and each of {', '.join(own)} its own"]
