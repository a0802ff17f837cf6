"""What the organisations of the demonstration on Kubernetes agree on."""

import tomllib

import pytest

from consilo.aggregation import schema_of
from consilo.cli.form import read_form, specification_of
from consilo.protocol.specification import Artifact
from consilo.tasks.digits_linear import DigitsLinear
from k8s.organisations import ORGANISATIONS
from k8s.runs import Agreement


@pytest.mark.parametrize("parameters", [{}, {"local_epochs": 100, "batch_size": 8}])
def test_the_agreement_is_a_form_that_the_ledger_admits(parameters: dict[str, int]) -> None:
    form = read_form(tomllib.loads(Agreement("trial", 7, parameters).form()))
    DigitsLinear(form.task.parameters)
    tensors = schema_of(DigitsLinear({}).initial_state(1))
    initial = Artifact(organisation="HospitalA", key="key", sha256="0" * 64, size_bytes=tensors.artifact_bytes)
    specification = specification_of(form, proposer="HospitalA", version="1", initial=initial, tensors=tensors)
    assert specification.rounds == 7
    assert specification.organisations == tuple(organisation.msp for organisation in ORGANISATIONS)
    assert specification.minimum == specification.threshold == len(ORGANISATIONS), "every silo is waited for"
    assert {terms.member for terms in specification.silos} == {each.silo for each in ORGANISATIONS}
    assert set(specification.update_readers) == {each.operator for each in ORGANISATIONS}, "each operator can verify"
