"""The gateway's adapter on a real Fabric network: what it hands in, what it reads, and how it is set up."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from consilo.api.gateway import now_ms
from consilo.api.models import Position
from consilo.fabric.blocks import decode_block
from consilo.fabric.lines import decode_line
from consilo.protocol.bodies import ProposeRun
from consilo.protocol.queries import NoArguments, Organisations
from consilo.protocol.refusals import Refusal
from consilo.protocol.state import DictState
from services.ledger.fabric.adapter import FabricAdapter
from tests.fabric.gateways import (
    BEGINNING,
    OTHER,
    OWN,
    WITHIN_SECONDS,
    Gateways,
    check_told,
    handed_in,
    opened,
    running_gateways,
    signed,
)
from tests.simulated_requests import Layout, Requests

pytestmark = [pytest.mark.fabric, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with running_gateways(tmp_path_factory.mktemp("gateways")) as made:
        yield made


@pytest_asyncio.fixture
async def adapter(gateways: Gateways) -> AsyncIterator[FabricAdapter]:
    """HospitalA's gateway."""
    async with opened(gateways.settings()) as made:
        yield made


# -- Handing in and reading --------------------------------------------------------------------------------------------


async def test_a_commit_is_read_at_once_and_stands_in_the_chain(gateways: Gateways, adapter: FabricAdapter) -> None:
    await adapter.check()
    before, transaction = now_ms(), gateways.revocation()
    commit = await adapter.submit(transaction)
    assert before <= commit.time <= now_ms()
    assert (commit.transaction, commit.repeated) == (transaction.id, False)
    assert await adapter.head() == commit.head
    (line,) = await adapter.blocks(commit.head.height, 10)
    block = decode_block(decode_line(line))
    assert (block.number, block.hash) == (commit.head.height, commit.head.hash)
    assert await adapter.hash_at(block.number) == block.hash
    assert await adapter.hash_at(block.number - 1) == block.previous
    (event,) = await adapter.events(Position(height=block.number - 1, index=2**31 - 1), 10)
    assert (event.event.transaction, event.time) == (transaction.id, commit.time)
    again = await adapter.submit(transaction)
    assert (again.time, again.repeated) == (commit.time, True)


async def test_a_refusal_is_the_state_machines_own(gateways: Gateways, adapter: FabricAdapter) -> None:
    serial = next(gateways.numbers)
    await adapter.submit(gateways.revocation(serial=serial))
    with pytest.raises(Refusal) as refusal:
        await adapter.submit(gateways.revocation(serial=serial, reason="stolen"))
    assert refusal.value.code == "already-revoked"
    assert refusal.value.message == f"HospitalA has revoked {serial:x} before"
    with pytest.raises(Refusal) as refusal:
        await adapter.submit(gateways.revocation("HospitalC"))
    assert (refusal.value.code, refusal.value.retryable) == ("organisation-unknown", True)


async def test_only_an_organisations_own_gateway_registers_it(gateways: Gateways, adapter: FabricAdapter) -> None:
    with pytest.raises(Refusal) as refusal:
        await adapter.submit(gateways.registration("HospitalC"))
    assert refusal.value.code == "registration-not-vouched"


async def test_all_gateways_read_the_same(gateways: Gateways, adapter: FabricAdapter) -> None:
    async with opened(gateways.settings(OTHER)) as other:
        commit = await other.submit(gateways.revocation(OTHER))
        async with asyncio.timeout(WITHIN_SECONDS):
            await adapter.wait_after(commit.head.height - 1)
        assert await adapter.hash_at(commit.head.height) == commit.head.hash
        found = await adapter.query("organisations", NoArguments())
        assert isinstance(found, Organisations)
        assert {each.msp for each in found.organisations} >= {OWN, OTHER}
        assert await adapter.events(BEGINNING, 1000) == await other.events(BEGINNING, 1000)


async def test_the_same_request_many_times_at_once_is_applied_once(gateways: Gateways, adapter: FabricAdapter) -> None:
    async with opened(gateways.settings(OTHER)) as other:
        transaction = gateways.revocation()
        commits = await asyncio.gather(*(gateway.submit(transaction) for gateway in (adapter, other) for _ in range(8)))
    assert len({commit.time for commit in commits}) == 1
    assert sum(not commit.repeated for commit in commits) <= 1
    events = await adapter.events(BEGINNING, 1000)
    assert [event.event.transaction for event in events].count(transaction.id) == 1


async def test_of_requests_that_exclude_each_other_one_is_applied(gateways: Gateways, adapter: FabricAdapter) -> None:
    serial = next(gateways.numbers)
    requests = [gateways.revocation(serial=serial, reason=f"reason {number}") for number in range(8)]
    answers = await asyncio.gather(*(handed_in(adapter, request) for request in requests))
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    assert {refusal.code for refusal in refusals} == {"already-revoked"}
    assert len(refusals) == len(requests) - 1


@pytest.mark.parametrize(
    ("limit", "words"),
    [(10 * 2**20, "bytes; the channel takes 10485760"), (100 * 2**20, "exceeds maximum allowed")],
    ids=["gateway", "orderer"],
)
async def test_what_the_channel_does_not_take_is_too_large(gateways: Gateways, limit: int, words: str) -> None:
    task = {"name": "digits", "version": "1", "parameters": {"text": "x" * 6_000_000}}
    layout = Layout((OWN,), (f"{OWN}/silo",), (f"{OWN}/aggregator",), (), ())
    specification = Requests(DictState("consilo"), layout).specification(task=task)
    body = ProposeRun.model_validate({"run": "large", "specification": specification}, strict=False)
    async with opened(gateways.settings(max_message_bytes=limit)) as adapter:
        with pytest.raises(Refusal, match=words) as refusal:
            await adapter.submit(signed(gateways.operator(), "propose_run", body))
    assert refusal.value.code == "too-large"


# -- The replica -------------------------------------------------------------------------------------------------------


async def test_the_replica_goes_on_after_a_restart_and_is_built_anew_when_it_is_gone(gateways: Gateways) -> None:
    settings = gateways.settings()
    async with opened(settings) as adapter:
        await adapter.submit(gateways.revocation())
    async with opened(gateways.settings(OTHER)) as other:
        commit = await other.submit(gateways.revocation(OTHER))
    async with opened(settings) as adapter:
        async with asyncio.timeout(WITHIN_SECONDS):
            await adapter.wait_after(commit.head.height - 1)
        kept = await adapter.head(), await adapter.events(BEGINNING, 1000)
    for file in settings.state_file.parent.glob(f"{settings.state_file.name}*"):
        file.unlink()
    async with opened(settings) as adapter:
        assert (await adapter.head(), await adapter.events(BEGINNING, 1000)) == kept


# -- What is set up wrongly --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["an-unknown-msp", "another-msps-certificate"])
async def test_a_client_that_the_channel_does_not_know_is_told(gateways: Gateways, whose: str) -> None:
    other = gateways.network.organisation(OTHER).client
    changes: dict[str, Any] = (
        {"msp": "HospitalX"}
        if whose == "an-unknown-msp"
        else {"certificate_file": other.certificate_file, "key_file": other.key_file}
    )
    settings = gateways.settings().model_copy(update=changes)
    error = await check_told(settings, "it does not know the client")
    assert error.code == "ledger-misconfigured"
    assert f"must be one of MSP {settings.msp}, and that MSP a member of channel consilo" in error.message


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_peer_that_is_not_the_expected_one_is_told(gateways: Gateways, wrong: str) -> None:
    changes = (
        {"tls_ca_file": gateways.network.organisation(OTHER).peer.tls_ca_file}
        if wrong == "authority"
        else {"server_name": "peer.example"}
    )
    settings = gateways.settings().model_copy(update={"peers": [gateways.peer(OWN, **changes)]})
    error = await check_told(settings, "who answers is not the expected peer")
    assert error.code == "ledger-misconfigured"


async def test_a_name_of_the_certificate_may_be_told(gateways: Gateways) -> None:
    settings = gateways.settings().model_copy(update={"peers": [gateways.peer(OWN, server_name="localhost")]})
    async with opened(settings) as adapter:
        await adapter.check()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channel": "other"}, "it is not on channel other: have it join"),
        ({"chaincode": "other"}, "has chaincode other on channel consilo: have it installed, approved and committed"),
        ({"chaincode": "qscc"}, "chaincode qscc is not Consilo's"),
    ],
    ids=["channel", "chaincode", "another-chaincode"],
)
async def test_what_is_not_on_the_network_is_told_by_name(
    gateways: Gateways, changes: dict[str, str], words: str
) -> None:
    await check_told(gateways.settings(peers=(OWN,), **changes), words)


# -- The service -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def service(gateways: Gateways, identity: Path, **changes: Any) -> AsyncIterator[str]:
    """The ledger service's process; yields its URL."""
    fabric = gateways.settings(**changes).model_dump(mode="json", exclude_unset=True)
    secret = gateways.directory / "secret"
    secret.write_text("a-secret-of-at-least-thirty-two-bytes")
    secret.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.ledger", "--identity", str(identity), "--port", "0"),
        *("--store.url", "http://127.0.0.1:1", "--store.secret-file", str(secret), "--fabric", json.dumps(fabric)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_SECONDS):
            yield json.loads(await process.stdout.readline())["url"]
    finally:
        process.terminate()
        async with asyncio.timeout(WITHIN_SECONDS):
            assert await process.wait() == 0


def asked(url: str) -> tuple[int, Any]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=WITHIN_SECONDS) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


async def until_ready(url: str) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while (await asyncio.to_thread(asked, f"{url}/readyz"))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_service_starts_without_a_network_and_is_ready_once_there_is_one(gateways: Gateways) -> None:
    identity = gateways.directory / "identity"
    gateways.authorities[OWN].issue("gateway", "gateway", now=now_ms()).save(identity)
    await gateways.network.kill_peer(OWN)
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(service(gateways, identity, peers=(OWN,)))
            status, problem = await asyncio.to_thread(asked, f"{url}/readyz")
            assert (status, problem["code"]) == (503, "ledger-unavailable")
            assert (await asyncio.to_thread(asked, f"{url}/livez"))[0] == 200
        finally:
            await gateways.network.start_peer(OWN)
        await until_ready(url)
        status, answer = await asyncio.to_thread(asked, f"{url}/v1/ledger")
        assert (status, json.loads(answer)["kind"]) == (200, "fabric")
        transaction = gateways.revocation()
        request = urllib.request.Request(f"{url}/v1/transactions", data=transaction.encode(), method="POST")
        status, answer = await asyncio.to_thread(asked, request)  # type: ignore[arg-type]
        assert status == 200
        assert json.loads(answer)["transaction"] == transaction.id
