"""Keys, certificates and the channel's first block as Secrets, with Fabric's own programs."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import mkdtemp

import pytest

from consilo.fabric.package import service_package
from fabric.binaries import find_tools
from fabric.cluster.contents import FILES_KEY, restore_files
from fabric.cluster.material import make_material
from fabric.cluster.network import ClusterNetwork, ClusterOrganisation
from fabric.config_update import organisations_in
from fabric.errors import Impossible
from fabric.layout import Layout
from tests.unit.fabric_network.clusters import HOSPITAL_A, HOSPITAL_B, MemorySecrets, network

HOSPITAL_C = ClusterOrganisation(msp="HospitalC", name="hospital-c")
PRIVATE = "PRIVATE KEY"


async def make(directory: Path, secrets: MemorySecrets, wanted: ClusterNetwork) -> list[str]:
    """Runs the job in a directory of its own, as each pod has; gives what it told."""
    told: list[str] = []
    layout = Layout(Path(mkdtemp(dir=directory)))
    await make_material(wanted, secrets, find_tools(), layout, told.append)
    return told


def keys_in(content: dict[str, bytes]) -> int:
    return b"\n".join(content.values()).decode(errors="replace").count(f"BEGIN {PRIVATE}")


@pytest.mark.fabric
async def test_everyone_has_a_secret_with_what_it_needs_and_no_other_keys(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network(HOSPITAL_A))
    assert set(secrets.contents) == {
        *("channel", "administrators", "orderers-crypto", "orderer-0", "hospital-a-crypto"),
        *("peer-hospital-a", "chaincode-hospital-a", "hospital-a-client", "hospital-a-admin"),
    }
    node = {"config.yaml", "ca.pem", "tls-ca.pem", "cert.pem", "key.pem", "tls.crt", "tls.key"}
    assert set(secrets.contents["orderer-0"]) == set(secrets.contents["peer-hospital-a"]) == node
    assert set(secrets.contents["hospital-a-client"]) == {"client.pem", "client.key", "tls-ca.pem"}
    assert b"cacerts/ca.pem" in secrets.contents["peer-hospital-a"]["config.yaml"]
    keys = {
        "orderer-0": 2,
        "peer-hospital-a": 2,
        "chaincode-hospital-a": 1,
        "hospital-a-client": 1,
        "hospital-a-admin": 1,
    }
    assert {name: keys_in(secrets.contents[name]) for name in keys} == keys


@pytest.mark.fabric
async def test_administrators_get_their_own_keys_and_only_these(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network(HOSPITAL_A))
    files = json.loads(secrets.contents["administrators"][FILES_KEY])
    with_keys = [name for name, text in files.items() if PRIVATE in text]
    assert len(with_keys) == 4  # of two administrators, for signing and for TLS
    assert all("/users/Admin@" in name for name in with_keys)


@pytest.mark.fabric
async def test_a_second_time_nothing_changes_and_what_was_lost_is_there_again(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network())
    before = {name: dict(content) for name, content in secrets.contents.items()}
    assert await make(tmp_path, secrets, network()) == []
    del secrets.contents["hospital-b-client"]
    assert await make(tmp_path, secrets, network()) == ["Secret hospital-b-client written"]
    assert secrets.contents == before


@pytest.mark.fabric
async def test_an_organisation_is_added_and_the_first_block_stays(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network())
    block = secrets.contents["channel"]["genesis.block"]
    crypto = secrets.contents["hospital-a-crypto"]
    await make(tmp_path, secrets, network(HOSPITAL_C, HOSPITAL_A, HOSPITAL_B))
    assert secrets.contents["channel"]["genesis.block"] == block
    assert organisations_in(block) == ["HospitalA", "HospitalB"]
    assert secrets.contents["hospital-a-crypto"] == crypto
    assert b"HospitalC" in secrets.contents["administrators"][FILES_KEY]


@pytest.mark.fabric
async def test_a_network_that_cannot_become_what_is_wanted_stays_as_it_is(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network())
    before = {name: dict(content) for name, content in secrets.contents.items()}
    with pytest.raises(Impossible, match="the number of orderers is 1, and cannot become 3"):
        await make(tmp_path, secrets, network(HOSPITAL_A, HOSPITAL_B, HOSPITAL_C, orderers=3))
    assert secrets.contents == before


@pytest.mark.fabric
@pytest.mark.parametrize("name", ["orderers-crypto", "hospital-a-crypto"])
async def test_lost_keys_of_the_channel_are_not_replaced_by_others(tmp_path: Path, name: str) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network())
    del secrets.contents[name]
    with pytest.raises(Impossible, match=f"the Secret {name} is missing"):
        await make(tmp_path, secrets, network())


@pytest.mark.fabric
async def test_a_job_that_was_interrupted_is_done_again_from_the_beginning(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network())
    del secrets.contents["channel"]  # it is written last
    await make(tmp_path, secrets, network(orderers=3))
    assert {"orderer-0", "orderer-1", "orderer-2"} < set(secrets.contents)


@pytest.mark.fabric
async def test_the_chaincode_server_computes_the_package_that_the_bootstrap_installs(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    await make(tmp_path, secrets, network())
    layout = Layout(tmp_path / "bootstrap")
    restore_files(secrets.contents["administrators"], layout.crypto)
    certificate = secrets.contents["chaincode-hospital-a"]["ca.crt"].decode()
    computed = service_package("consilo", "chaincode-hospital-a.ledger:9999", certificate)
    assert network().package(layout, HOSPITAL_A) == computed


@pytest.mark.parametrize(
    "content",
    [
        {},
        {FILES_KEY: b"not json"},
        {FILES_KEY: b"[]"},
        {FILES_KEY: b'{"a": 1}'},
        {FILES_KEY: b'{"../a": ""}'},
        {FILES_KEY: b'{"/tmp/a": ""}'},
    ],
    ids=["empty", "no JSON", "a list", "no text", "above", "elsewhere"],
)
def test_a_secret_that_holds_no_files_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    with pytest.raises(Impossible, match="does not hold files"):
        restore_files(content, tmp_path / "below")
    assert not (tmp_path / "a").exists()


async def test_a_channel_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    secrets = MemorySecrets()
    secrets.contents["channel"] = {"genesis.block": b""}
    with pytest.raises(Impossible, match="does not say which network is there"):
        await make_material(network(), secrets, None, Layout(tmp_path), print)  # type: ignore[arg-type]
