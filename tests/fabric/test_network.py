"""A native Fabric network: started, asked, started again, harmed, changed, ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fabric.description import Description, port_of
from fabric.errors import CommandFailed, NetworkError, PartFailed
from fabric.network import Network, Options
from fabric.ports import HOST
from tests.fabric.networks import fabric, free_ports, living, running_network

pytestmark = pytest.mark.fabric

ORGANISATIONS = ("HospitalA", "HospitalB", "HospitalC")
QUESTION = ("query", "organisations", "{}")
ANSWER: dict[str, list[object]] = {"organisations": []}
HEIGHT_SECONDS = 20.0


async def answers(network: Network) -> list[object]:
    """What the chaincode at every peer says."""
    texts = await asyncio.gather(*(network.query(each.msp, *QUESTION) for each in network.organisations))
    return [json.loads(text) for text in texts]


async def heights(network: Network) -> dict[str, int | None]:
    """How many blocks every peer and orderer has."""
    parts = (await network.status()).parts
    return {part.name: part.height for part in parts if not part.name.startswith("chaincode-")}


async def until_all_have_the_same_blocks(network: Network) -> None:
    deadline = time.monotonic() + HEIGHT_SECONDS
    while len(set((found := await heights(network)).values())) != 1:
        assert time.monotonic() < deadline, f"they do not get the same blocks: {found}"
        await asyncio.sleep(0.05)


def pids(network: Network) -> set[int]:
    description = Description.load(network.file)
    orderers = {orderer.pid for orderer in description.orderers}
    return orderers.union(*({each.peer.pid, each.chaincode.pid} for each in description.organisations))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Another network: one organisation and three orderers, of which one may be lost."""
    directory = tmp_path_factory.mktemp("small") / "network"
    with running_network(directory, "--organisations", "HospitalA", "--orderers", "3") as running:
        yield running


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network that tests change for good."""
    with running_network(tmp_path_factory.mktemp("growing") / "network") as running:
        yield running


async def test_the_chaincode_answers_at_the_peers_of_all_organisations(network: Network) -> None:
    assert tuple(each.msp for each in network.organisations) == ORGANISATIONS
    assert await answers(network) == [ANSWER] * 3


async def test_a_refusal_by_the_chaincode_reaches_who_asked(network: Network) -> None:
    with pytest.raises(CommandFailed, match="function-unknown"):
        await network.query("HospitalA", "destroy")


async def test_status_shows_every_process_its_memory_and_its_blocks(network: Network) -> None:
    status = await network.status()
    assert status.running
    assert (status.channel, status.chaincode, status.sequence) == ("consilo", "consilo", 1)
    assert status.package_id == network.description.package_id
    assert {part.name for part in status.parts} == {
        "orderer0",
        *(f"peer-{msp}" for msp in ORGANISATIONS),
        *(f"chaincode-{msp}-1" for msp in ORGANISATIONS),
    }
    assert {part.pid for part in status.parts} == pids(network)
    assert all(part.memory_bytes > 2**20 for part in status.parts)
    assert all((part.height or 0) >= 3 for part in status.parts if not part.name.startswith("chaincode-"))
    shown = fabric("status", network.file.parent).stdout
    for part in status.parts:
        assert f"{part.name} " in shown
    assert json.loads(fabric("status", network.file.parent, "--json").stdout)["sequence"] == 1


def test_addresses_need_no_other_host_name_for_tls(network: Network) -> None:
    for organisation in network.organisations:
        context = ssl.create_default_context(cafile=organisation.peer.tls_ca_file)
        with (
            socket.create_connection((HOST, port_of(organisation.peer.address)), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as encrypted,
        ):
            assert encrypted.version() == "TLSv1.3"


def test_the_client_of_an_organisation_has_the_key_of_its_certificate(network: Network) -> None:
    for organisation in network.organisations:
        certificate = x509.load_pem_x509_certificate(organisation.client.certificate_file.read_bytes())
        key = load_pem_private_key(organisation.client.key_file.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == certificate.public_key()
        assert organisation.client.key_file.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")  # PKCS 8
        assert organisation.admin.msp_directory.is_dir()


def test_up_on_a_running_network_says_so_and_starts_nothing(network: Network) -> None:
    before = pids(network)
    said = fabric("up", network.file.parent)
    assert said.stdout.splitlines()[-1] == str(network.file)
    assert "runs already" in said.stderr
    assert pids(network) == before


def test_up_refuses_to_make_another_network_of_a_running_one(network: Network) -> None:
    said = fabric("up", network.file.parent, "--orderers", "3", "--organisations", "HospitalZ", code=1)
    assert "HospitalZ" in said.stderr
    assert "orderers is 1, not 3" in said.stderr
    assert "down --remove" in said.stderr


async def test_a_killed_peer_is_missing_and_starts_again_with_its_ledger(network: Network) -> None:
    before = await heights(network)
    await network.kill_peer("HospitalB")
    assert not (await network.status()).running
    with pytest.raises(CommandFailed):
        await network.query("HospitalB", *QUESTION)
    assert json.loads(await network.query("HospitalA", *QUESTION)) == ANSWER
    await network.start_peer("HospitalB")
    assert await answers(network) == [ANSWER] * 3
    assert (await heights(network))["peer-HospitalB"] == before["peer-HospitalB"]


async def test_up_starts_what_has_ended_and_nothing_else(network: Network) -> None:
    before = pids(network)
    victims = {network.organisation("HospitalC").peer.pid, network.organisation("HospitalA").chaincode.pid}
    await asyncio.gather(network.kill_peer("HospitalC"), network.kill_chaincode("HospitalA"))
    said = await asyncio.to_thread(fabric, "up", network.file.parent)
    assert "chaincode-HospitalA-1, peer-HospitalC" in said.stderr
    assert before - pids(network) == victims
    again = Network.load(network.file.parent)
    assert (await again.status()).running
    assert await answers(again) == [ANSWER] * 3


async def test_without_its_chaincode_server_a_peer_says_so_until_it_is_back(network: Network) -> None:
    await network.kill_chaincode("HospitalA")
    with pytest.raises(CommandFailed):
        await network.query("HospitalA", *QUESTION)
    await network.start_chaincode("HospitalA")
    assert json.loads(await network.query("HospitalA", *QUESTION)) == ANSWER


async def test_the_only_orderer_can_be_killed_and_started_again(network: Network) -> None:
    await network.kill_orderer("orderer0")
    await network.start_orderer("orderer0")
    await until_all_have_the_same_blocks(network)


async def test_a_frozen_process_is_seen_and_thawed(network: Network) -> None:
    async def states() -> dict[str, tuple[str, int | None]]:
        return {part.name: (part.state, part.height) for part in (await network.status()).parts}

    network.freeze("peer-HospitalB")
    try:
        async with asyncio.timeout(HEIGHT_SECONDS):  # a signal takes its time
            while (seen := await states())["peer-HospitalB"] != ("frozen", None):
                pass
        assert seen["peer-HospitalA"][0] == "running"
    finally:
        network.thaw("peer-HospitalB")
    async with asyncio.timeout(HEIGHT_SECONDS):
        while not (await network.status()).running:
            pass


def test_single_processes_are_killed_and_started_by_name(network: Network) -> None:
    directory = network.file.parent
    fabric("kill", directory, "chaincode-HospitalC-1")
    assert "ended" in fabric("status", directory, code=1).stdout
    fabric("start", directory, "chaincode-HospitalC-1")
    fabric("status", directory)
    assert "there are orderer0" in fabric("kill", directory, "peer-HospitalZ", code=2).stderr


async def test_two_networks_run_side_by_side(network: Network, small: Network) -> None:
    assert not set(network.description.ports()) & set(small.description.ports())
    assert await answers(network) == [ANSWER] * 3
    assert await answers(small) == [ANSWER]


async def test_three_orderers_bear_the_loss_of_one(small: Network) -> None:
    assert [orderer.name for orderer in small.orderers] == ["orderer0", "orderer1", "orderer2"]
    for orderer in [orderer.name for orderer in small.orderers]:  # one of them leads
        await small.kill_orderer(orderer)
        sequence = small.description.sequence
        await small.upgrade()  # takes two transactions
        assert small.description.sequence == sequence + 1
        await small.start_orderer(orderer)
        await until_all_have_the_same_blocks(small)
    assert await answers(small) == [ANSWER]


async def test_nothing_changes_without_a_majority_of_orderers(small: Network) -> None:
    await asyncio.gather(small.kill_orderer("orderer0"), small.kill_orderer("orderer1"))
    with pytest.raises(NetworkError, match="orderer0, orderer1 must run"):
        await small.upgrade()
    await small.start_orderer("orderer0")  # knows no leader until the other is back, and is not waited for in vain
    await small.start_orderer("orderer1")
    await until_all_have_the_same_blocks(small)


async def test_an_upgrade_changes_the_chaincode_while_it_serves(growing: Network) -> None:
    old = growing.description
    upgraded = asyncio.Event()

    async def ask() -> int:
        asked = 0
        while not upgraded.is_set() or not asked:
            assert json.loads(await growing.query("HospitalB", *QUESTION)) == ANSWER
            asked += 1
        return asked

    asking = asyncio.create_task(ask())
    try:
        await growing.upgrade()
    finally:
        upgraded.set()
    assert await asking > 1
    assert growing.description.sequence == old.sequence + 1
    assert growing.description.package_id != old.package_id
    status = await growing.status()
    assert status.running
    assert status.sequence == growing.description.sequence
    servers = sorted(name for name in living(growing.file.parent) if name.startswith("chaincode-"))
    assert servers == [f"chaincode-{msp}-{growing.description.sequence}" for msp in ORGANISATIONS]
    await growing.kill_peer("HospitalA")  # one that starts again finds the servers of the new sequence
    await growing.start_peer("HospitalA")
    assert await answers(growing) == [ANSWER] * 3


async def test_an_organisation_is_added_by_a_majority(growing: Network) -> None:
    await growing.add_organisation("HospitalD")
    assert [each.msp for each in growing.organisations] == [*ORGANISATIONS, "HospitalD"]
    assert await answers(growing) == [ANSWER] * 4
    await until_all_have_the_same_blocks(growing)
    with pytest.raises(NetworkError, match="already"):
        await growing.add_organisation("HospitalD")
    await growing.kill_peer("HospitalD")
    await asyncio.to_thread(fabric, "up", growing.file.parent, "--organisations", ",".join(ORGANISATIONS))
    again = Network.load(growing.file.parent)
    assert await answers(again) == [ANSWER] * 4
    await again.upgrade()  # by three of four
    assert await answers(again) == [ANSWER] * 4


async def test_down_leaves_no_process_and_up_goes_on_with_the_same_ledger(tmp_path: Path) -> None:
    directory = tmp_path / "network"
    with running_network(directory, "--organisations", "HospitalA") as network:
        before = await heights(network)
        await network.down()
        assert living(directory) == []
        assert len(free_ports(network)) == len(network.description.ports())
        await network.down()
        assert not (await network.status()).running
        await asyncio.to_thread(fabric, "up", directory)
        assert await heights(network) == before
        assert await answers(network) == [ANSWER]
    assert not directory.exists()
    assert "no network" in fabric("down", directory).stdout


async def test_a_network_that_does_not_start_is_ended_and_says_why(tmp_path: Path) -> None:
    broken = Options(chaincode_command=(sys.executable, "-c", "raise SystemExit('no state machine here')"))
    with pytest.raises(PartFailed, match="no state machine here"):
        await Network.up(tmp_path / "network", organisations=["HospitalA"], options=broken)
    assert living(tmp_path / "network") == []
    network = await Network.up(tmp_path / "network", organisations=["HospitalA"])
    try:
        assert await answers(network) == [ANSWER]
    finally:
        await network.down(remove=True)


def test_an_interrupted_start_leaves_no_process(tmp_path: Path) -> None:
    directory = tmp_path / "network"
    command = [sys.executable, "-m", "fabric", "up", "--directory", str(directory)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as starting:
        assert starting.stderr is not None
        for line in starting.stderr:
            if "orderers and peers" in line:
                break
        os.kill(starting.pid, signal.SIGTERM)
        said = starting.stderr.read()
    assert starting.returncode == 130
    assert "interrupted" in said
    assert living(directory) == []
    assert not (directory / "network.json").exists()
    fabric("down", directory, "--remove")
    assert not directory.exists()


def test_a_start_that_was_killed_is_cleared_by_down(tmp_path: Path) -> None:
    directory = tmp_path / "network"
    command = [sys.executable, "-m", "fabric", "up", "--directory", str(directory), "--organisations", "HospitalA"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as starting:
        assert starting.stderr is not None
        for line in starting.stderr:
            if "installed" in line:
                break
        starting.kill()
    assert living(directory) != []
    fabric("down", directory)
    assert living(directory) == []
    fabric("down", directory, "--remove")
