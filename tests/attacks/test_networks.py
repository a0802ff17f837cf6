"""Where other organisations' records can lead a member: to public addresses, and not into its own network."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilo.api.errors import GatewayNotAllowed, GatewayUnavailable
from consilo.api.gateway import Gateway
from consilo.api.networks import AddressNotAllowed, Networks, connect
from consilo.api.party import Party
from consilo.api.settings import ApiSettings
from consilo.api.transfer_errors import HostNotAllowed, TransferUnavailable
from consilo.api.transfers import open_download
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.records import Organisation
from consilo.store.port import SignedRequest
from tests.attacks.table import CODES
from tests.integration.consortium import Consortium
from tests.integration.test_ledger_service_objects import with_round
from tests.integration.trial import Trial, started
from tests.simulated_members import identity
from tests.unit.store.hostile import saying, serving

REMOTE = Networks.of((), "gateway.example")
"""Of a member whose own gateway is not on its machine."""

INSIDE = [
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "0.0.0.0",
    "::",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "::ffff:10.1.2.3",
    "::ffff:127.0.0.1",
    "64:ff9b::10.1.2.3",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a01:203::",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_admitted(address: str) -> None:
    assert not REMOTE.admits(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_public_addresses_are_admitted(address: str) -> None:
    assert REMOTE.admits(address)


def test_networks_that_are_named_are_admitted_and_no_others() -> None:
    networks = Networks.of(("10.0.0.0/8", "fd00::/8"), "gateway.example")
    assert [networks.admits(address) for address in ("10.1.2.3", "fd00::1", "::ffff:10.1.2.3")] == [True] * 3
    assert [networks.admits(address) for address in ("192.168.1.1", "127.0.0.1", "::1")] == [False] * 3


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_admitted_when_the_own_gateway_is_on_it(host: str) -> None:
    networks = Networks.of((), host)
    assert networks.admits("127.0.0.1")
    assert networks.admits("::1")
    assert not networks.admits("10.1.2.3")


@given(st.ip_addresses())
def test_no_address_that_is_not_public_is_admitted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if REMOTE.admits(str(address)):
        assert address.is_global or (isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped is not None))
        assert not address.is_private or address.is_global


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "hospital", ""])
def test_what_is_no_network_is_no_setting(text: str) -> None:
    with pytest.raises(ValueError, match="private_networks"):
        ApiSettings(private_networks=(text,))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1"])
def test_other_spellings_of_an_address_lead_nowhere_else(host: str) -> None:
    with serving(saying(b"")) as (place, accepted):
        with pytest.raises(AddressNotAllowed):
            connect(host, int(place.rpartition(":")[2]), timeout_seconds=5, networks=REMOTE)
        assert accepted == []


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Makes names resolve to these addresses, one look-up after the other; returns the list of look-ups."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *arguments: object, **named: object) -> object:
        if host != "rebinding.example":
            return real(host, port, *arguments, **named)  # type: ignore[arg-type]
        asked.append(host)
        return real(addresses[min(len(asked), len(addresses)) - 1], port, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_name_that_changes_its_mind_wins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(saying(b"")) as (place, accepted):
        port = int(place.rpartition(":")[2])
        asked = answers(monkeypatch, "192.0.2.1", "127.0.0.1")
        name = f"rebinding.example:{port}"
        request = SignedRequest("GET", f"http://{name}/objects/a", {}, 2**50)
        networks = Networks((ipaddress.ip_network("192.0.2.0/24"),))
        with pytest.raises(TransferUnavailable):  # nobody is there; the point is that nobody else was asked
            open_download(request, expected_bytes=1, allowed_hosts={name}, timeout_seconds=0.2, networks=networks)
        assert len(asked) == 1
        with pytest.raises(HostNotAllowed) as refused:  # by now the name says 127.0.0.1
            open_download(request, expected_bytes=1, allowed_hosts={name}, timeout_seconds=0.2, networks=networks)
        assert refused.value.code == CODES["a name that resolves to another address the second time"]
        assert accepted == []


def test_unregistered() -> None:
    with serving(saying(b"")) as (place, accepted):
        request = SignedRequest("GET", f"http://{place}/objects/a", {}, 2**50)
        with pytest.raises(HostNotAllowed) as refused:
            open_download(request, expected_bytes=1, allowed_hosts={"store.example"}, timeout_seconds=5)
        assert refused.value.code == CODES["a store that no organisation registered"]
        assert accepted == []


async def test_a_gateway_is_called_by_its_name_at_the_address_that_was_admitted(consortium: Consortium) -> None:
    port = consortium.ledger.url.rpartition(":")[2]
    networks = Networks((ipaddress.ip_network("127.0.0.1/32"),))
    async with Gateway.http_client(ApiSettings(), networks=networks) as http:
        response = await http.get(f"http://localhost:{port}/v1/ledger")
        assert response.status_code == 200
        assert response.request.headers["host"] == f"localhost:{port}"
    async with Gateway.http_client(ApiSettings(), networks=REMOTE) as http:
        with pytest.raises(GatewayNotAllowed, match="localhost lies in no network"):
            await http.get(f"http://localhost:{port}/v1/ledger")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are strict, as those whose own gateway is not on their machine."""
    monkeypatch.setattr(Networks, "of", classmethod(lambda cls, private, host: cls()))


async def register(trial: Trial, msp: str, **fields: object) -> None:
    """The next version of an organisation."""
    operator = await trial.party(f"{msp}/operator")
    now = await operator.organisation(msp, fresh=True)
    values = {"roots": now.roots, "gateway": now.gateway, "stores": now.stores, **fields}
    await operator.metadata_publish(RegisterOrganisation.model_validate({"version": now.version + 1, **values}))


async def registered(trial: Trial, msp: str) -> Organisation:
    return await (await trial.party(f"{msp}/operator")).organisation(msp, fresh=True)


async def fetch(trial: Trial, reader: Party, path: Path) -> None:
    model = await trial.until_global(0)
    await reader.organisation("HospitalA", fresh=True)
    await reader.data_get(trial.run, reference_of(model), "HospitalA", path)


async def test_stores(consortium: Consortium, tmp_path: Path, elsewhere: None) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        reader, path = await trial.party("HospitalB/viewer"), tmp_path / "model"
        await fetch(trial, reader, path)  # the own organisation has registered that store, too
        own = await registered(trial, "HospitalB")
        try:
            await register(trial, "HospitalB", stores=("store.hospital-b.example",))
            await reader.organisation("HospitalB", fresh=True)
            with pytest.raises(HostNotAllowed) as refused:
                await fetch(trial, reader, path)
            assert refused.value.code == CODES["a store registered inside the reader's network"]
            assert "private_networks" in str(refused.value)
            assert "signature" not in str(refused.value)
        finally:
            await register(trial, "HospitalB", stores=own.stores)


async def test_gateways(consortium: Consortium, tmp_path: Path, elsewhere: None) -> None:
    async with started(consortium, tmp_path) as trial:
        await with_round(trial)
        reader = await trial.party("HospitalB/viewer")
        victim = await registered(trial, "HospitalA")
        with serving(saying(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")) as (inside, connections):
            try:
                await register(trial, "HospitalA", gateway=f"http://{inside}/admin")
                with pytest.raises(GatewayNotAllowed) as refused:
                    await fetch(trial, reader, tmp_path / "model")
                assert refused.value.code == CODES["a gateway registered inside the reader's network"]
                assert connections == []
            finally:
                await register(trial, "HospitalA", gateway=victim.gateway)


async def test_a_gateway_that_has_no_address_is_away_and_not_forbidden() -> None:
    async with Gateway.http_client(ApiSettings(), networks=REMOTE) as http:
        gateway = Gateway(
            "http://nobody.invalid",
            audience="HospitalA",
            identity=identity("HospitalA/silo"),
            http=http,
            settings=ApiSettings(),
        )
        with pytest.raises(GatewayUnavailable):
            await gateway.info()
