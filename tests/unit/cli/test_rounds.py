"""How runs and rounds are told, to programs and to people, on a consortium in memory."""

from __future__ import annotations

import json

import pytest
from rich.console import Console, RenderableType

from consilo.cli.displays import attempt_table, progress_facts, round_line, round_table, run_view
from consilo.cli.rounds import results_of, round_as_json, silo_states, status_as_json
from consilo.cli.words import specification_in_words
from consilo.protocol.specification import Specification
from consilo.protocol.views import RoundSummary, RunStatus, round_summary, run_status
from tests.simulators import Consortium


def text_of(renderable: RenderableType) -> str:
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def states(consortium: Consortium) -> dict[str, str]:
    status = run_status(consortium.state, "trial")
    assert status.attempt is not None
    found = silo_states(
        status.proposal.specification,
        frozenset(decision.msp for decision in status.approvals),
        status.attempt.opening,
        status.attempt.updates,
        status.attempt.selection,
    )
    return {state["member"]: state["state"] for state in found}


@pytest.fixture
def consortium() -> Consortium:
    made = Consortium(silos=3)
    made.running()
    return made


def status_of(consortium: Consortium) -> RunStatus:
    return run_status(consortium.state, "trial")


def test_a_silo_trains_publishes_and_is_selected(consortium: Consortium) -> None:
    assert set(states(consortium).values()) == {"training"}
    consortium.publish_update("HospitalB/silo")
    assert states(consortium) == {
        "HospitalA/silo": "training",
        "HospitalB/silo": "published",
        "HospitalC/silo": "training",
    }
    consortium.publish_update("HospitalA/silo")
    consortium.publish_update("HospitalC/silo")
    consortium.close_round()
    assert set(states(consortium).values()) == {"selected"}


def test_who_is_late_excluded_or_not_among_the_best_is_said() -> None:
    consortium = Consortium(silos=3)
    consortium.running(selection={"policy": "top_k", "metric": "accuracy", "k": 1, "order": "highest"}, minimum=1)
    consortium.publish_update("HospitalA/silo", metrics={"accuracy": "0.5"})
    consortium.publish_update("HospitalB/silo", metrics={"accuracy": "0.7"})
    consortium.clock += 60_001
    consortium.close_round()
    assert states(consortium) == {
        "HospitalA/silo": "left-out",
        "HospitalB/silo": "selected",
        "HospitalC/silo": "late",
    }
    consortium.reopen_round(excluded={"HospitalB/silo": "digest-mismatch"})
    assert states(consortium)["HospitalB/silo"] == "excluded"
    assert "excluded: digest-mismatch" in text_of(attempt_table(status_of(consortium)))


def finished_round(consortium: Consortium) -> RoundSummary:
    for member in ("HospitalA/silo", "HospitalB/silo", "HospitalC/silo"):
        consortium.publish_update(member)
    consortium.close_round()
    consortium.publish_global()
    consortium.report_evaluation("HospitalA/silo", num_samples=30, metrics={"accuracy": "0.9", "loss": "1.0"})
    consortium.report_evaluation("HospitalB/silo", num_samples=10, metrics={"accuracy": "0.5"})
    return round_summary(consortium.state, "trial", 0)


def test_results_are_means_weighted_by_samples(consortium: Consortium) -> None:
    assert results_of(None) == {}
    assert results_of(finished_round(consortium)) == {"accuracy": pytest.approx(0.8), "loss": 1.0}


def test_programs_get_json_with_the_same_fields_in_every_state(consortium: Consortium) -> None:
    proposed = Consortium(silos=3)
    proposed.proposed()
    fields = set(status_as_json(status_of(consortium)))
    assert set(status_as_json(status_of(proposed))) == fields
    summary = finished_round(consortium)
    assert set(status_as_json(status_of(consortium))) == fields
    json.dumps(status_as_json(status_of(consortium)))
    told = round_as_json(summary)
    json.dumps(told)
    assert told["selected"] == ["HospitalA/silo", "HospitalB/silo", "HospitalC/silo"]
    assert told["global"]["round"] == 1
    assert round_as_json(round_summary(consortium.state, "trial", 1))["global"] is None


def test_people_get_the_round_on_a_line_and_as_a_table(consortium: Consortium) -> None:
    summary = finished_round(consortium)
    line = text_of(round_line(summary, 2))
    assert "round 1/2" in line
    assert "3 of 3 updates" in line
    assert "accuracy 0.8" in line
    table = text_of(round_table(summary))
    assert "HospitalC/silo  selected" in table
    assert summary.updates[0].artifact.sha256 in table
    view = text_of(run_view(status_of(consortium), summary))
    assert "accuracy 0.8" in view
    assert "HospitalB/silo" in view
    assert "latest global" in progress_facts(status_of(consortium))


def test_a_metric_s_name_or_a_digest_is_shown_as_it_is_not_as_markup(consortium: Consortium) -> None:
    consortium.publish_update("HospitalA/silo", metrics={"a:b.c": "0.25"})
    assert "a:b.c 0.25" in text_of(attempt_table(status_of(consortium)))


def test_a_specification_is_told_in_words(consortium: Consortium) -> None:
    specification: Specification = status_of(consortium).proposal.specification
    words = specification_in_words(specification)
    assert words["round closes"] == "when all have published, 10 s after 2 have, or after 1 min if 1 have"
    assert words["task"] == "digits, version 1 with epochs = 1"
    assert words["organisations"] == "HospitalA, HospitalB, HospitalC; 3 must approve"
    assert words["selection"] == "every update counts"
    assert words["retention"] == "all is kept"
    assert "HospitalA/silo (at most 1000 samples)" in words["silos"]


@pytest.mark.parametrize(
    ("fields", "heading", "sentence"),
    [
        ({"cohort": {"kind": "fraction", "fraction": "0.9"}}, "asked each round", "the fraction 0.9"),
        ({"cohort": {"kind": "count", "count": 2}}, "asked each round", "a sample of 2 silos"),
        (
            {"selection": {"policy": "at_least", "metric": "accuracy", "value": "0.5"}},
            "selection",
            "whose accuracy is at least 0.5",
        ),
        ({"retention_rounds": 3}, "retention", "3 rounds"),
        ({"verifiers": []}, "verifiers", "none"),
    ],
)
def test_what_is_unusual_is_told_in_words(fields: dict[str, object], heading: str, sentence: str) -> None:
    consortium = Consortium(silos=3)
    consortium.running(**fields)
    assert sentence in specification_in_words(status_of(consortium).proposal.specification)[heading]
