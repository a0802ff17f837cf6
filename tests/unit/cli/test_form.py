"""The form of `consilo run propose`: its defaults, and what it refuses."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from consilo.cli import form
from consilo.cli.exits import CliError
from consilo.cli.form import duration_ms, read_form, specification_of
from consilo.protocol.specification import Artifact, Specification
from consilo.protocol.tensors import TensorSchema, TensorSpec

TENSORS = TensorSchema(tensors=(TensorSpec(name="w", dtype="F32", shape=(2,)),))
INITIAL = Artifact(organisation="HospitalA", key="k", sha256="0" * 64, size_bytes=TENSORS.artifact_bytes)
LEAST = """
rounds = 10
minimum = 1
aggregators = ["HospitalA/aggregator"]
task = { name = "digits" }
silos = { "HospitalB/silo" = 20, "HospitalA/silo" = 10, "HospitalC/silo" = 30 }
"""


def specify(text: str, proposer: str = "HospitalA") -> Specification:
    read = read_form(tomllib.loads(text))
    return specification_of(read, proposer=proposer, version="1", initial=INITIAL, tensors=TENSORS)


def refusal(text: str) -> str:
    with pytest.raises(CliError) as refused:
        specify(text)
    assert (refused.value.code, refused.value.exit_code) == ("form-invalid", 2)
    return refused.value.message


def test_what_is_not_written_has_defaults() -> None:
    made = specify(LEAST)
    assert made.organisations == ("HospitalA", "HospitalB", "HospitalC")
    assert [(terms.member, terms.max_samples) for terms in made.silos] == [
        ("HospitalA/silo", 10),
        ("HospitalB/silo", 20),
        ("HospitalC/silo", 30),
    ]
    assert (made.cohort.kind, made.threshold, made.minimum) == ("all", 3, 1)
    assert (made.grace_ms, made.deadline_ms) == (10_000, 3_600_000)
    assert (made.strategy.name, made.strategy.version, made.selection.policy) == ("fedavg", 1, "all")
    assert (made.approvals_required, made.attestations_required, made.mismatches_to_annul) == (3, 0, 1)
    assert made.retention_rounds is None
    assert made.verifiers == made.update_readers == ()


def test_the_proposer_s_organisation_takes_part_without_being_named() -> None:
    assert "HospitalZ" in specify(LEAST, proposer="HospitalZ").organisations


def test_everything_can_be_written() -> None:
    made = specify(
        LEAST.replace("minimum = 1", "minimum = 2")
        + """
verifiers = ["HospitalC/verifier", "HospitalB/verifier"]
update_readers = ["HospitalA/auditor"]
cohort = 0.7
threshold = 2
grace = "500ms"
deadline = "2h"
selection = { policy = "at_least", metric = "accuracy", value = 0.25 }
strategy = { name = "trimmed_mean", version = 1, parameters = { fraction = 0.1, deep = [1, 2.5] } }
approvals_required = 2
attestations_required = 1
mismatches_to_annul = 2
retention_rounds = 5
"""
    )
    assert made.verifiers == ("HospitalB/verifier", "HospitalC/verifier")
    assert made.cohort.model_dump() == {"kind": "fraction", "fraction": "0.7"}
    assert (made.grace_ms, made.deadline_ms) == (500, 7_200_000)
    assert made.selection.model_dump() == {"policy": "at_least", "metric": "accuracy", "value": "0.25"}
    assert made.strategy.parameters == {"fraction": "0.1", "deep": [1, "2.5"]}
    assert (made.approvals_required, made.attestations_required, made.mismatches_to_annul) == (2, 1, 2)
    assert made.retention_rounds == 5


def test_a_count_is_a_cohort_and_its_size_the_threshold() -> None:
    made = specify(LEAST + "cohort = 2")
    assert (made.cohort.model_dump(), made.threshold) == ({"kind": "count", "count": 2}, 2)
    assert specify(LEAST + "cohort = 0.5").threshold == 2


def test_the_best_are_those_with_the_highest_metric() -> None:
    made = specify(LEAST + 'selection = { policy = "top_k", metric = "accuracy", k = 2 }')
    assert made.selection.model_dump() == {"policy": "top_k", "metric": "accuracy", "k": 2, "order": "highest"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LEAST.replace("minimum = 1", ""), "minimum: Field required"),
        (LEAST + "treshold = 2", "treshold: Extra inputs"),
        (LEAST + "threshold = 4", "minimum <= threshold <= cohort"),
        (LEAST + 'grace = "soon"', "'soon' is no duration"),
        (LEAST + 'aggregator = "HospitalA/aggregator"', "aggregator: Extra inputs"),
        (LEAST.replace("HospitalA/aggregator", "HospitalA"), "aggregators.0"),
        (LEAST.replace("= 20", "= 0"), "silos.HospitalB/silo"),
        (LEAST + 'organisations = ["HospitalA"]', "whose organisation the run does not name"),
        (LEAST + "cohort = true", "cohort"),
        (LEAST + "cohort = 1.5", "the fraction must be"),
        (LEAST.replace('"digits" }', '"digits", parameters = { rate = nan } }'), "nan is not finite"),
        (LEAST.replace('"digits" }', '"digits", parameters = { day = 2020-01-01 } }'), "task.parameters.day"),
        (LEAST + 'selection = { policy = "top_k", metric = "accuracy" }', "selection.top_k.k"),
        (LEAST + 'initial = { class = "a:B", file = "c" }', "give one of"),
        (LEAST + 'initial = { run = "a", file = "c" }', "give one of"),
        (LEAST + "initial = { round = 1 }", "`round` is for `run`"),
        (LEAST + "approvals_required = 4", "more approvals"),
    ],
)
def test_a_form_that_means_no_run_is_refused_by_name(text: str, sentence: str) -> None:
    assert sentence in refusal(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("30s", 30_000), ("1.5h", 5_400_000), ("5 min", 300_000), ("2d", 172_800_000)],
)
def test_durations_are_numbers_with_a_unit(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 year", "1e3s", "١s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration_ms(text)


def test_the_example_in_the_documentation_is_a_form() -> None:
    text = (form.__doc__ or "").split("\n\n", 2)[2].split("\n\nDefaults:")[0]
    value: dict[str, Any] = tomllib.loads(text)
    for other in ("file", "run"):
        value["initial"].pop(other)
    assert read_form(value).name == "digits-1"
