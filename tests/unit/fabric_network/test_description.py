"""What others read of a network, and what networks there can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fabric.description import Description, port_of
from fabric.errors import Impossible, NetworkAbsent, NetworkError
from fabric.plan import MAX_ORDERERS, Wanted, package_of
from tests.unit.fabric_network.descriptions import described


def test_a_new_network_has_three_hospitals_and_an_orderer(tmp_path: Path) -> None:
    with described(tmp_path) as description:
        assert [each.msp for each in description.organisations] == ["HospitalA", "HospitalB", "HospitalC"]
        assert [each.name for each in description.orderers] == ["orderer0"]
        assert (description.channel, description.chaincode, description.sequence) == ("consilo", "consilo", 1)
        assert description.package_id == package_of("consilo", 1).id
        assert description.batch_timeout_ms == 20


def test_the_file_says_what_other_programs_need(tmp_path: Path) -> None:
    with described(tmp_path, Wanted(organisations=["HospitalA"])) as description:
        description.save(tmp_path / "network.json")
        written = json.loads((tmp_path / "network.json").read_text())
        assert Description.load(tmp_path / "network.json") == description
    assert written["channel"] == written["chaincode"] == "consilo"
    assert {"name", "address", "admin_address", "operations_url", "pid", "log"} <= written["orderers"][0].keys()
    organisation = written["organisations"][0]
    assert {"address", "tls_ca_file", "operations_url", "pid", "log"} <= organisation["peer"].keys()
    assert {"address", "pid", "log"} <= organisation["chaincode"].keys()
    assert organisation["client"].keys() == {"certificate_file", "key_file"}
    assert organisation["admin"].keys() == {"msp_directory"}
    files = [organisation["peer"]["tls_ca_file"], *organisation["client"].values(), *organisation["admin"].values()]
    assert all(Path(file).is_absolute() for file in files)


def test_every_process_has_ports_of_its_own(tmp_path: Path) -> None:
    with described(tmp_path, Wanted(orderers=3)) as description:
        ports = description.ports()
    assert len(ports) == len(set(ports)) == 3 * 3 + 3 * 5
    assert port_of(description.orderers[0].operations_url) in ports


def test_process_ids_are_filled_in_by_the_names_of_the_processes(tmp_path: Path) -> None:
    with described(tmp_path) as description:
        pids = {name: number for number, name in enumerate(description.parts(), start=1)}
        filled = description.with_pids(pids.__getitem__)
    assert filled.orderer("orderer0").pid == pids["orderer0"]
    assert filled.organisation("HospitalB").peer.pid == pids["peer-HospitalB"]
    assert filled.organisation("HospitalC").chaincode.pid == pids["chaincode-HospitalC-1"]
    assert filled.with_pids(lambda _: 0) == description


def test_what_is_not_in_the_network_is_named_with_what_is(tmp_path: Path) -> None:
    with described(tmp_path) as description:
        with pytest.raises(Impossible, match="no organisation HospitalZ; there are HospitalA, HospitalB, HospitalC"):
            description.organisation("HospitalZ")
        with pytest.raises(Impossible, match="no orderer orderer1; there are orderer0"):
            description.orderer("orderer1")


def test_where_no_network_is_one_is_told_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(NetworkAbsent, match="python -m fabric up"):
        Description.load(tmp_path / "network.json")


@pytest.mark.parametrize("text", ["", "[]", '{"channel": "consilo"}'], ids=["empty", "list", "incomplete"])
def test_a_file_that_is_no_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "network.json").write_text(text)
    with pytest.raises(NetworkError, match=r"network\.json does not describe a network"):
        Description.load(tmp_path / "network.json")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"organisations": []}, "needs an organisation"),
        ({"organisations": ["HospitalA", "HospitalA"]}, "named twice"),
        ({"organisations": ["../HospitalA"]}, "cannot be an MSP id"),
        ({"organisations": ["Hospital A"]}, "cannot be an MSP id"),
        ({"organisations": [""]}, "cannot be an MSP id"),
        ({"organisations": ["Orderer"]}, "choose another"),
        ({"orderers": 0}, f"1 to {MAX_ORDERERS} orderers, not 0"),
        ({"orderers": MAX_ORDERERS + 1}, "orderers, not"),
        ({"channel": "Consilo"}, "cannot be a channel"),
        ({"channel": "../x"}, "cannot be a channel"),
        ({"channel": "a" * 250}, "cannot be a channel"),
        ({"batch_timeout_ms": 0}, "batch_timeout_ms must be at least 1"),
        ({"max_clock_difference_seconds": 0.0}, "must be a number above 0"),
        ({"max_clock_difference_seconds": float("inf")}, "must be a number above 0"),
        ({"max_clock_difference_seconds": float("nan")}, "must be a number above 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_what_cannot_be_is_refused(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(Impossible, match=told):
        Wanted(**wanted)


def test_a_network_is_as_wanted_if_it_has_all_that_was_named(tmp_path: Path) -> None:
    with described(tmp_path) as description:
        assert Wanted().differences(description) == []
        assert Wanted(["HospitalB"], 1, "consilo", 20, 60.0).differences(description) == []
        assert Wanted(["HospitalB", "HospitalZ"], 3, "other", 10, 5.0).differences(description) == [
            "its organisations are HospitalA, HospitalB, HospitalC, without HospitalZ",
            "orderers is 1, not 3",
            "channel is consilo, not other",
            "batch_timeout_ms is 20, not 10",
            "max_clock_difference_seconds is 60.0, not 5.0",
        ]
