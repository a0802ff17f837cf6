"""Values that a chart must not take: it says in a sentence what is wrong, before anything is installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.chart.charts import refusal

PEERS: Final = [{"address": "peer.example:7051", "msp": "HospitalA"}]
FABRIC: Final = {"kind": "fabric", "fabric": {"peers": PEERS, "clientSecret": "hospital-a-client"}}
SILO: Final = {"name": "silo", "tasks": {"digits_linear@1": "consilo.tasks.digits_linear:DigitsLinear"}}


@dataclass(frozen=True)
class Wrong:
    """Values of a chart, and what must be in what is said to them."""

    name: str
    chart: str
    given: Mapping[str, Any]
    said: str


MALFORMED = [
    Wrong("a word that is not known", "consilo", {"organisaton": {}}, r"organisaton"),
    Wrong("a word that is not known, further down", "consilo", {"gateway": {"replica": 2}}, r"gateway.*\n?.*replica"),
    Wrong("another kind of ledger", "consilo", {"ledger": {"kind": "corda"}}, r"ledger.kind"),
    Wrong("another kind of store", "consilo", {"store": {"kind": "nfs"}}, r"store.kind"),
    Wrong("no gateway at all", "consilo", {"gateway": {"replicas": 0}}, r"gateway.replicas"),
    Wrong("a number in words", "consilo", {"gateway": {"replicas": "two"}}, r"gateway.replicas"),
    Wrong("an MSP id with a space", "consilo", {"organisation": {"msp": "Hospital A"}}, r"organisation.msp"),
    Wrong("a name in capitals", "consilo", {"organisation": {"name": "HospitalA"}}, r"organisation.name"),
    Wrong("a silo without a name", "consilo", {"silos": [{"tasks": SILO["tasks"]}]}, r"silos.0"),
    Wrong("a peer without its MSP", "consilo", {"ledger": {"fabric": {"peers": [{"address": "a:1"}]}}}, r"peers.0"),
    Wrong("no network", "consilo", {"privateNetworks": ["everything"]}, r"privateNetworks.0"),
    Wrong("a pull policy that there is not", "consilo", {"image": {"pullPolicy": "Sometimes"}}, r"image.pullPolicy"),
    Wrong("a word that is not known", "fabric", {"orderer": 3}, r"orderer"),
    Wrong("no orderer", "fabric", {"orderers": 0}, r"orderers"),
    Wrong("an organisation without a name", "fabric", {"organisations": [{"msp": "HospitalA"}]}, r"organisations.0"),
    Wrong("nobody", "fabric", {"organisations": []}, r"organisations"),
    Wrong("a channel in capitals", "fabric", {"channel": "Consilo"}, r"channel"),
]

CONTRADICTORY = [
    Wrong("several gateways on one file", "consilo", {"gateway": {"replicas": 2}}, r"embedded.*(one|1)"),
    Wrong(
        "Fabric without a peer",
        "consilo",
        {"ledger": {"kind": "fabric", "fabric": {"clientSecret": "x"}}},
        r"ledger\.fabric\.peers",
    ),
    Wrong(
        "Fabric without a client",
        "consilo",
        {"ledger": {"kind": "fabric", "fabric": {"peers": PEERS}}},
        r"ledger\.fabric\.clientSecret",
    ),
    Wrong(
        "the first peer is another's",
        "consilo",
        {"ledger": {"kind": "fabric", "fabric": {"peers": [{"address": "p:1", "msp": "Z"}], "clientSecret": "x"}}},
        r"ledger\.fabric\.peers",
    ),
    Wrong("S3 without an address", "consilo", {"store": {"kind": "s3"}}, r"store\.s3\.publicEndpointUrl"),
    Wrong("the demo on Fabric", "consilo", {"ledger": FABRIC, "demo": {"enabled": True}}, r"demo"),
    Wrong("two silos of one name", "consilo", {"silos": [SILO, SILO]}, r"silo"),
    Wrong("a silo without a task", "consilo", {"silos": [{"name": "silo"}]}, r"tasks"),
    Wrong("a silo with the name of another member", "consilo", {"silos": [{**SILO, "name": "gateway"}]}, r"gateway"),
    Wrong("identities neither made nor there", "consilo", {"identity": {"create": False}}, r"existingSecrets"),
    Wrong("an even number of orderers", "fabric", {"orderers": 2}, r"orderers"),
    Wrong(
        "two organisations of one name",
        "fabric",
        {"organisations": [{"msp": "A", "name": "a"}, {"msp": "B", "name": "a"}]},
        r"organisations",
    ),
]


def described(wrong: Wrong) -> str:
    return f"{wrong.chart}-{wrong.name}".replace(" ", "-").replace(",", "")


@pytest.mark.parametrize("wrong", MALFORMED, ids=described)
def test_a_malformed_value_is_named(wrong: Wrong) -> None:
    assert re.search(wrong.said, path_of(refusal(wrong.chart, wrong.given)))


@pytest.mark.parametrize("wrong", CONTRADICTORY, ids=described)
def test_contradictory_values_fail_with_a_sentence(wrong: Wrong) -> None:
    said = refusal(wrong.chart, wrong.given)
    failed = re.search(r"execution error at \(\S+\): (.+)", said)
    assert failed, said
    assert re.search(wrong.said, failed[1]), said
    assert len(failed[1].split()) >= 5, "a sentence, that says what to do"


def path_of(said: str) -> str:
    """What helm says, with the path of a value written with points."""
    return said.replace("/", ".")
