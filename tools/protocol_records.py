"""The protocol reference's chapters on data: the specification of a run, the ledger's records and keys, value types.

Pure but for reading the modules' sources.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Final

from consilo.protocol import bodies, keys, records, specification, tensors, transaction, values
from consilo.protocol.model import Record
from tools.markdown import code, doc, heading, link, paragraph, table
from tools.model_fields import FieldOfModel, ValueType, fields_of, value_types

_NAMED: Final = re.compile(r"\[(\w+)\]")
_MODULES: Final = (values, tensors, specification, records, bodies)

_EVERYWHERE: Final = {
    "run": "name of the run",
    "round": "number of the round",
    "attempt": "number of the attempt at the round",
    "member": "the member that it is about",
    "msp": "the organisation that it is about",
    "sha256": "digest of the artifact",
    "num_samples": "number of samples, as the silo says",
    "metrics": "numbers by name, as the silo says",
    "artifact": "where the model lies, and what its bytes are",
    "reason": "why",
    "name": "its name",
    "dtype": "type of its elements",
    "shape": "sizes of its dimensions; none: a scalar",
    "tensors": "sorted by name, each name once",
    "kind": "which of the alternatives this is",
    "policy": "which of the alternatives this is",
    "count": "how many",
    "verdict": "whether the recomputation gave the same bytes",
    "artifacts": "what is going to be read",
    "verifier": "who attests it",
    "reader": "who reads it",
    "owner": "in whose store it lies",
    "by": "the member whose transaction made it so",
}
"""What a field of this name means wherever a record does not say more."""

_WRITTEN_BY: Final[Mapping[type[Record], type[Record]]] = {
    bodies.RegisterOrganisation: records.Organisation,
    bodies.RevokeMember: records.Revocation,
    bodies.ProposeRun: records.Proposal,
    bodies.RejectRun: records.Decision,
    bodies.PublishGlobal: records.GlobalModel,
    bodies.PublishUpdate: records.Update,
    bodies.CloseRound: records.Selection,
    bodies.ReopenRound: records.Opening,
    bodies.AttestGlobal: records.Attestation,
    bodies.ReportEvaluation: records.Evaluation,
    bodies.StopRun: records.Decision,
}
"""Body of a transaction -> the record that takes its fields over: a field means there what it means here."""


def model_table(model: type[Record]) -> str:
    """The fields of a record or body as a table."""
    fields = fields_of(model, type_link)
    rows = [(code(field.name), field.type, _meaning(model, field).rstrip(".")) for field in fields]
    return table(("field", "type", "meaning"), rows)


def type_link(name: str) -> str:
    """The text for a named type, linked to the place of this page that describes it."""
    if name in _MODELS:
        return link(name, name)
    return link(name, "Value types") if name in _VALUE_TYPES else code(name)


def specification_chapter() -> str:
    """What the organisations of a run agree on."""
    parts = [kind for kind in _models_of(specification) if kind is not specification.Specification]
    parts += [tensors.TensorSchema, tensors.TensorSpec]
    return "\n\n".join(
        [
            heading(2, "The specification of a run"),
            heading(3, "Specification"),
            doc(specification.Specification),
            model_table(specification.Specification),
            paragraph(
                "Besides: every member that is named is of a named organisation; `top_k` selects at least `minimum`; "
                "`attestations_required` + `mismatches_to_annul` is at most the number of verifiers + 1, so that "
                "every global can be attested or annulled; no attestation is required of nobody; the initial "
                "artifact has the size that its schema says."
            ),
            *_described(parts),
        ]
    )


def records_chapter() -> str:
    """The ledger's keys, and the records under them."""
    kinds = _models_of(records)
    on_ledger = [kind for kind in kinds if issubclass(kind, records.LedgerRecord)]
    parts = [kind for kind in kinds if not issubclass(kind, records.LedgerRecord)]
    placed = _keys()
    return "\n\n".join(
        [
            heading(2, "Keys and records"),
            doc(keys),
            doc(records),
            paragraph("Each record also has the field `schema_version`, which is 1."),
            *_described(on_ledger, placed),
            heading(3, "Parts of records"),
            *_described([*parts, bodies.GlobalArtifact, bodies.UpdateArtifact], level=4),
        ]
    )


def values_chapter() -> str:
    """The named types of single values."""
    rows = [(code(kind.name), kind.form, kind.meaning.split("\n\n")[0]) for kind in _VALUE_TYPES.values()]
    return "\n\n".join([heading(2, "Value types"), doc(values), table(("type", "form", "meaning"), rows)])


def _described(
    kinds: Iterable[type[Record]], placed: Mapping[str, list[str]] | None = None, level: int = 3
) -> list[str]:
    parts = []
    for kind in kinds:
        parts += [heading(level, kind.__name__), doc(kind)]
        if placed is not None:
            parts.append("Key: " + " or ".join(code(key) for key in placed[kind.__name__]))
        parts.append(model_table(kind))
    return parts


def _meaning(model: type[Record], field: FieldOfModel) -> str:
    if field.meaning:
        return field.meaning
    written = _WRITTEN_BY.get(model)
    if written is not None:
        for other in fields_of(written, type_link):
            if other.name == field.name and other.meaning:
                return other.meaning
    if field.name in _EVERYWHERE:
        return _EVERYWHERE[field.name]
    if field.name.endswith("_by"):
        return f"the member that {field.name.removesuffix('_by').replace('_', ' ')} it"
    if field.name.endswith("_at") or field.name == "at":
        return "when"
    named = _NAMED.search(field.type)
    return "" if named is None else _of_type(named[1])


def _of_type(name: str) -> str:
    """What the type of a field says, for a field about which nothing else is said."""
    if name in _VALUE_TYPES:
        return _VALUE_TYPES[name].meaning.split("\n\n")[0]
    return (inspect.getdoc(_MODELS[name]) or "").split("\n\n")[0]


def _keys() -> dict[str, list[str]]:
    """Name of a record -> the keys under which it stands, from the table in the docstring of keys.py."""
    found: dict[str, list[str]] = {}
    for line in (inspect.getdoc(keys) or "").splitlines():
        if line.startswith("    "):
            key, kind, *_ = line.split()
            found.setdefault(kind, []).append(key)
    return found


def _models_of(module: ModuleType) -> list[type[Record]]:
    own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    return [kind for kind in own if issubclass(kind, Record) and kind is not records.LedgerRecord]


_MODELS: Final[Mapping[str, type[Record]]] = {
    kind.__name__: kind
    for module in (specification, records, tensors, bodies, transaction)
    for kind in _models_of(module)
}
_VALUE_TYPES: Final[Mapping[str, ValueType]] = {
    kind.name: kind for module in _MODULES for kind in value_types(module, lambda name: code(name))
}
