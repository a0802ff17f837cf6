"""The chaincode's server as a process: how it starts, what it says, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from consilo.fabric.package import service_package
from consilo.protocol.state import DictState
from tests.faults.harness import free_port
from tests.unit.chaincode.conftest import PACKAGE_ID
from tests.unit.chaincode.peer import WITHIN_SECONDS, connected
from tests.unit.chaincode.test_streams import Withheld


@dataclass
class Server:
    """A running process, and what it announced."""

    process: asyncio.subprocess.Process
    announced: dict[str, Any]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.announced["port"])

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, list[dict[str, Any]]]:
        """Sends a signal; gives the exit code and the lines of the log."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and the lines of the log, once the process has ended."""
        _, log = await asyncio.wait_for(self.process.communicate(), WITHIN_SECONDS)
        assert self.process.returncode is not None
        return self.process.returncode, [json.loads(line) for line in log.decode().splitlines()]


async def launch(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSILO_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chaincode",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**clean, **environment},
    )


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[Server]:
    process = await launch("--package-id", PACKAGE_ID, "--port", "0", *arguments, **environment)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), WITHIN_SECONDS)
        assert line, (await process.communicate())[1].decode()
        yield Server(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def refusal_to_start(*arguments: str, **environment: str) -> dict[str, Any]:
    """The line in which the server says why it does not start; gRPC may have said something before."""
    process = await launch(*arguments, **environment)
    output, log = await asyncio.wait_for(process.communicate(), WITHIN_SECONDS)
    assert (process.returncode, output) == (2, b"")
    told: dict[str, Any] = json.loads(log.decode().splitlines()[-1])
    return told


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    certificate_file, key_file = directory / f"{name}.crt", directory / f"{name}.key"
    certificate_file.write_bytes(made.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate_file, key_file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_announces_its_address_serves_and_ends_in_order(number: signal.Signals) -> None:
    async with running() as server:
        address = f"127.0.0.1:{server.port}"
        assert server.announced == {"event": "listening", "address": address, "port": server.port}
        async with connected(server.port, DictState("consilo")) as peer:
            assert peer.registered_as == PACKAGE_ID
            assert (await peer.call(b"query", b"run_names", b"{}")).payload == b'{"runs":[]}'
            code, log = await server.end(number)
    assert code == 0
    assert [line["event"] for line in log] == [
        "listening",
        "a peer has connected",
        "registered with a peer",
        "a peer has gone",
        "ended",
    ]
    assert log[0]["package_id"] == PACKAGE_ID
    assert (log[3]["reason"], log[3]["transactions"]) == ("ended in order", 1)


async def test_told_to_end_it_lets_a_running_transaction_finish() -> None:
    async with running() as server, connected(server.port, DictState("consilo")) as peer:
        withheld = Withheld()
        simulation = await peer.begin(b"query", b"run_names", b"{}", interfere=withheld)
        await withheld.wait()
        server.process.send_signal(signal.SIGTERM)
        while True:  # until it has begun to end
            late = await peer.call(b"query", b"organisations", b"{}")
            if late.status != 200:
                break
        assert late.refusal.retryable
        await withheld.answer(peer)
        assert (await peer.result(simulation)).status == 200
        assert (await server.ended())[0] == 0


async def test_a_peer_goes_on_with_a_server_that_was_killed_and_started_again() -> None:
    port = free_port()
    async with running("--port", str(port)) as first, connected(port, DictState("consilo")) as peer:
        withheld = Withheld()
        simulation = await peer.begin(b"query", b"run_names", b"{}", interfere=withheld)
        await withheld.wait()
        first.process.kill()
        with pytest.raises(ConnectionError):
            await peer.result(simulation)
    async with running("--port", str(port)), connected(port, peer.state) as again:
        assert (await again.call(b"query", b"run_names", b"{}")).status == 200


async def test_the_clock_is_the_machines_and_what_it_may_differ_a_setting() -> None:
    async with (
        running("--max-clock-difference-seconds", "5") as server,
        connected(server.port, DictState("consilo")) as peer,
    ):
        now = int(datetime.now(UTC).timestamp() * 1000)
        for off, code in ((0, "malformed"), (-20_000, "clock-differs"), (20_000, "clock-differs")):
            result = await peer.call(b"submit", b"{}", time=now + off)
            assert result.refusal.code == code


async def test_settings_come_from_the_environment_too() -> None:
    process = await launch(CONSILO_CHAINCODE_PACKAGE_ID="label:1", CONSILO_CHAINCODE_PORT="0")
    assert process.stdout is not None
    server = Server(process, json.loads(await asyncio.wait_for(process.stdout.readline(), WITHIN_SECONDS)))
    async with connected(server.port, DictState("consilo")) as peer:
        assert peer.registered_as == "label:1"
    assert (await server.end())[0] == 0


async def test_peers_are_served_over_tls_with_the_certificate_that_is_named(tmp_path: Path) -> None:
    certificate_file, key_file = certificate(tmp_path, "server")
    tls = ("--tls-certificate-file", str(certificate_file), "--tls-key-file", str(key_file))
    async with running(*tls) as server:
        trusting = grpc.ssl_channel_credentials(certificate_file.read_bytes())
        async with connected(server.port, DictState("consilo"), trusting) as peer:
            assert (await peer.call(b"query", b"run_names", b"{}")).status == 200
        distrusting = grpc.ssl_channel_credentials(certificate(tmp_path, "other")[0].read_bytes())
        with pytest.raises(grpc.aio.AioRpcError):
            async with connected(server.port, DictState("consilo"), distrusting):
                pass
        assert (await server.end())[0] == 0


async def test_it_does_not_start_without_a_package_id() -> None:
    told = await refusal_to_start()
    assert "package_id" in told["reason"]


async def test_it_computes_the_package_id_from_what_is_in_the_package(tmp_path: Path) -> None:
    certificate_file, key_file = certificate(tmp_path, "server")
    package = service_package("consilo", "chaincode.example:9999", certificate_file.read_text())
    process = await launch(
        *("--port", "0", "--package-label", "consilo", "--package-address", "chaincode.example:9999"),
        *("--package-root-certificate-file", str(certificate_file)),
        *("--tls-certificate-file", str(certificate_file), "--tls-key-file", str(key_file)),
    )
    assert process.stdout is not None
    server = Server(process, json.loads(await asyncio.wait_for(process.stdout.readline(), WITHIN_SECONDS)))
    code, log = await server.end()
    assert code == 0
    assert log[0]["package_id"] == package.id


@pytest.mark.parametrize(
    "arguments",
    [("--package-label", "consilo"), ("--package-id", "consilo:1", "--package-label", "consilo")],
    ids=["in part", "twice"],
)
async def test_it_does_not_start_when_the_package_is_said_in_part_or_twice(arguments: tuple[str, ...]) -> None:
    assert "package_root_certificate_file together" in (await refusal_to_start(*arguments))["reason"]


async def test_it_does_not_start_without_the_packages_root_certificate(tmp_path: Path) -> None:
    told = await refusal_to_start(
        *("--package-label", "consilo", "--package-address", "chaincode.example:9999"),
        *("--package-root-certificate-file", str(tmp_path / "missing")),
    )
    assert "root certificate" in told["reason"]


async def test_it_does_not_start_with_half_of_what_tls_needs(tmp_path: Path) -> None:
    certificate_file, _ = certificate(tmp_path, "server")
    told = await refusal_to_start("--package-id", "x", "--tls-certificate-file", str(certificate_file))
    assert "tls_key_file" in told["reason"]


async def test_it_does_not_start_with_a_key_that_is_not_the_certificates(tmp_path: Path) -> None:
    certificate_file, _ = certificate(tmp_path, "server")
    _, key_file = certificate(tmp_path, "other")
    for key in (key_file, certificate_file, tmp_path / "missing"):
        told = await refusal_to_start(
            "--package-id", "x", "--tls-certificate-file", str(certificate_file), "--tls-key-file", str(key)
        )
        assert told["reason"].startswith("cannot serve TLS with ")


async def test_it_does_not_start_on_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = await refusal_to_start("--package-id", "x", "--port", str(port))
    assert f"127.0.0.1:{port}" in told["reason"]
