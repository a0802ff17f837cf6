"""Specifications: contradictions are refused before anyone agrees to them."""

from __future__ import annotations

from typing import Any

import pytest

from consilo.protocol.canonical import canonical
from consilo.protocol.refusals import InvalidInput
from consilo.protocol.specification import Specification
from tests.simulated_requests import SCHEMA, artifact
from tests.simulators import OUTSIDER, Consortium

MAKE = Consortium(silos=4, verifiers=2).make


def _specification(**fields: Any) -> Specification:
    return Specification.decode(canonical(MAKE.specification(**fields)))


def _silos(*members: str, cap: int = 5) -> list[dict[str, Any]]:
    return [{"member": member, "max_samples": cap} for member in members]


A, B, D = "HospitalA/silo", "HospitalB/silo", "HospitalD/silo"


def test_the_simulation_s_own_specification_is_good_and_reads_back() -> None:
    specification = _specification()
    assert Specification.decode(specification.encode()) == specification
    assert specification.rules == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"organisations": ["HospitalB", "HospitalA", "HospitalC", "HospitalD"]}, "organisations must be sorted"),
        ({"organisations": ["HospitalA", "HospitalA"]}, "organisations must be sorted"),
        ({"silos": _silos(B, A)}, "silos must be sorted"),
        ({"silos": _silos(A, A)}, "silos must be sorted"),
        ({"aggregators": ["HospitalB/aggregator", "HospitalA/aggregator"]}, "aggregators must be sorted"),
        ({"verifiers": ["HospitalB/v", "HospitalA/v"]}, "verifiers must be sorted"),
        ({"update_readers": ["HospitalA/x", "HospitalA/x"]}, "update_readers must be sorted"),
        ({"silos": _silos(A, B, f"{OUTSIDER}/silo")}, "silos names HospitalX/silo"),
        ({"aggregators": [f"{OUTSIDER}/aggregator"]}, "aggregators names"),
        ({"verifiers": [f"{OUTSIDER}/verifier"]}, "verifiers names"),
        ({"update_readers": [f"{OUTSIDER}/x"]}, "update_readers names"),
        ({"threshold": 5}, "1 <= minimum <= threshold <= cohort (4)"),
        ({"threshold": 2, "minimum": 3}, "1 <= minimum <= threshold"),
        ({"cohort": {"kind": "count", "count": 2}}, "cohort (2)"),
        ({"cohort": {"kind": "fraction", "fraction": "0.5"}}, "cohort (2)"),
        ({"selection": {"policy": "top_k", "metric": "m", "k": 1, "order": "lowest"}}, "top_k selects fewer"),
        ({"approvals_required": 5}, "more approvals"),
        ({"attestations_required": 2, "mismatches_to_annul": 2}, "the number of verifiers + 1"),
        ({"mismatches_to_annul": 4}, "the number of verifiers + 1"),
        ({"verifiers": [], "attestations_required": 1}, "no verifier is named"),
        ({"initial": artifact(OUTSIDER, "initial")}, "the initial artifact lies with"),
        ({"initial": artifact("HospitalA", "initial", size_bytes=1)}, f"has {SCHEMA.artifact_bytes} bytes"),
    ],
)
def test_a_contradiction_is_refused_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _specification(**fields)
    assert caught.value.code == "malformed"
    assert words in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"rounds": 0},
        {"minimum": 0},
        {"threshold": 0},
        {"deadline_ms": 0},
        {"grace_ms": -1},
        {"approvals_required": 0},
        {"mismatches_to_annul": 0},
        {"attestations_required": -1},
        {"retention_rounds": 0},
        {"organisations": []},
        {"silos": []},
        {"aggregators": []},
        {"silos": _silos(A, cap=0)},
        {"silos": _silos(A, cap=2**29)},
        {"cohort": {"kind": "some"}},
        {"cohort": {"kind": "all", "count": 1}},
        {"cohort": {"kind": "count"}},
        {"cohort": {"kind": "fraction", "fraction": "0.0"}},
        {"cohort": {"kind": "fraction", "fraction": "2.0"}},
        {"selection": {"policy": "random"}},
        {"selection": {"policy": "top_k", "metric": "m", "k": 2, "order": "best"}},
        {"selection": {"policy": "at_least", "metric": "m", "value": "nan"}},
        {"strategy": {"name": "fed avg", "version": 1, "parameters": {}}},
        {"strategy": {"name": "fedavg", "version": 0, "parameters": {}}},
        {"task": {"name": "digits", "version": "", "parameters": {}}},
        {"task": {"name": "digits", "version": "1", "parameters": {"a b": 1}}},
        {"surprise": 1},
        {"schema_version": 2},
    ],
)
def test_a_value_outside_its_bounds_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        _specification(**fields)
    assert caught.value.code == "malformed"


def test_nothing_but_versions_has_a_default() -> None:
    complete = MAKE.specification()
    for field in complete:
        value = {name: entry for name, entry in complete.items() if name != field}
        if field in {"schema_version", "rules"}:
            assert Specification.decode(canonical(value)) == _specification()
        else:
            with pytest.raises(InvalidInput):
                Specification.decode(canonical(value))


def test_terms_are_those_of_the_silo() -> None:
    specification = _specification(silos=_silos(A, B, D))
    terms = specification.terms_of(B)
    assert terms is not None
    assert (terms.member, terms.max_samples) == (B, 5)
    assert specification.terms_of("HospitalC/silo") is None


ALL = ["HospitalA", "HospitalB", "HospitalC", "HospitalD"]


@pytest.mark.parametrize(
    ("fields", "organisations", "enough"),
    [
        ({}, ALL, True),
        ({}, ALL[:3], False),
        ({"approvals_required": 2}, ["HospitalA", "HospitalB"], True),
        ({"approvals_required": 2}, ["HospitalA", OUTSIDER], False),
        ({"approvals_required": 1}, ["HospitalC", "HospitalD"], False),  # no aggregator
        ({"approvals_required": 1, "minimum": 3}, ["HospitalA", "HospitalB"], False),  # too few silos
        ({"approvals_required": 1, "minimum": 2}, ["HospitalA", "HospitalB"], True),
        # The verifiers are HospitalC's and HospitalD's.
        ({"approvals_required": 1, "attestations_required": 1}, ["HospitalA", "HospitalB"], False),
        ({"approvals_required": 1, "attestations_required": 1}, ["HospitalA", "HospitalC"], True),
        ({"approvals_required": 1, "attestations_required": 2}, ["HospitalA", "HospitalC"], False),
        (
            {"approvals_required": 1, "attestations_required": 1, "mismatches_to_annul": 2},
            ["HospitalA", "HospitalC"],
            False,
        ),
        ({"approvals_required": 1, "mismatches_to_annul": 2}, ["HospitalA", "HospitalB"], True),
    ],
)
def test_a_run_needs_whom_it_cannot_go_on_without(
    fields: dict[str, Any], organisations: list[str], enough: bool
) -> None:
    assert _specification(**fields).can_run_with(organisations) == enough


@pytest.mark.parametrize("attestations", [0, 1, 2])
@pytest.mark.parametrize("mismatches", [1, 2])
def test_every_specification_can_run_with_all_that_it_names(attestations: int, mismatches: int) -> None:
    if attestations + mismatches <= 3:
        specification = _specification(attestations_required=attestations, mismatches_to_annul=mismatches)
        assert specification.can_run_with(specification.organisations)
