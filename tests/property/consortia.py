"""Small consortia with a proposed run, drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.simulators import Consortium


@st.composite
def consortia(draw: st.DrawFn) -> Consortium:
    """2 to 4 silos of 1 to 3 organisations, every rule of cohort and selection, 1 to 3 rounds, 0 to 3 verifiers."""
    silos = draw(st.integers(2, 4))
    organisations = min(silos, draw(st.integers(1, 3)))
    verifiers = draw(st.sampled_from([2, 3, 1, 0]))
    cohorts: list[tuple[dict[str, Any], int]] = [
        ({"kind": "all"}, silos),
        ({"kind": "count", "count": 2}, 2),
        ({"kind": "fraction", "fraction": "0.5"}, -(-silos // 2)),
    ]
    cohort, size = draw(st.sampled_from(cohorts))
    threshold = draw(st.integers(1, size))
    minimum = draw(st.integers(1, threshold))
    attestations = draw(st.integers(0, verifiers))
    selections = [
        {"policy": "at_least", "metric": "accuracy", "value": "0.5"},
        {"policy": "all"},
        {"policy": "top_k", "metric": "accuracy", "k": minimum, "order": "highest"},
    ]
    consortium = Consortium(silos, organisations=organisations, aggregators=2, verifiers=verifiers)
    consortium.propose_run(
        rounds=draw(st.sampled_from([3, 2, 1])),
        cohort=cohort,
        threshold=threshold,
        minimum=minimum,
        selection=draw(st.sampled_from(selections)),
        approvals_required=draw(st.integers(1, organisations)),
        attestations_required=attestations,
        mismatches_to_annul=draw(st.sampled_from([1, 1, max(1, verifiers + 1 - attestations)])),
    )
    return consortium
