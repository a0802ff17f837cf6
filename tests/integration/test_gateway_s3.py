"""A gateway that signs for a bucket of a real S3 server."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consilo.api.errors import GatewayRefused
from consilo.api.party import Party
from consilo.api.transfers import open_download
from consilo.protocol.bodies import RegisterOrganisation
from consilo.protocol.specification import Artifact
from tests.integration.consortium import ORGANISATIONS, Consortium, running_consortium, service
from tests.unit.store.running_s3 import RunningS3, need_versitygw, running_s3

RUN = "run-1"


@contextmanager
def moved_to_a_bucket(directory: Path) -> Iterator[tuple[Consortium, RunningS3]]:
    """A consortium whose gateway was restarted to sign for a bucket."""
    (directory / "s3").mkdir()
    with running_consortium(directory) as own, running_s3(directory / "s3") as server:
        own.ledger.end()
        settings = server.settings
        environment = {
            "CONSILO_LEDGER_PORT": own.ledger.url.rpartition(":")[2],
            "CONSILO_LEDGER_IDENTITY": str(directory / "gateway"),
            "CONSILO_LEDGER_ORGANISATIONS": json.dumps(ORGANISATIONS),
            "CONSILO_LEDGER_EMBEDDED__FILE": str(directory / "ledger.sqlite"),
            "CONSILO_LEDGER_STORE__KIND": "s3",
            "CONSILO_LEDGER_STORE__PUBLIC_ENDPOINT_URL": settings.public_endpoint_url,
            "CONSILO_LEDGER_STORE__BUCKET": settings.bucket,
            "CONSILO_LEDGER_STORE__ACCESS_KEY_FILE": str(settings.access_key_file),
            "CONSILO_LEDGER_STORE__SECRET_KEY_FILE": str(settings.secret_key_file),
            "CONSILO_LEDGER_LOG_LEVEL": "DEBUG",
        }
        with service("services.ledger", environment, directory / "ledger.log"):
            yield own, server


async def register_bucket(operator: Party, server: RunningS3) -> None:
    known = await operator.organisation(operator.identity.msp)
    await operator.metadata_publish(
        RegisterOrganisation(version=known.version + 1, roots=known.roots, gateway=known.gateway, stores=(server.host,))
    )


async def store_and_exceed(own: Consortium, server: RunningS3, model: Path) -> Artifact:
    async with own.party("HospitalA/operator") as operator:
        await register_bucket(operator, server)
    async with own.party("HospitalA/operator") as operator:
        artifact = await operator.data_put(RUN, model)
        with pytest.raises(GatewayRefused, match="one PUT of at most 5368709120 bytes") as refused:
            await operator.place_to_put(RUN, 5 * 2**30 + 1)
        assert refused.value.code == "too-large"
        return artifact


def test_a_member_puts_to_the_bucket_and_larger_objects_are_refused(tmp_path: Path) -> None:
    need_versitygw()
    data = b"weights" * 100_000
    (tmp_path / "model").write_bytes(data)
    with moved_to_a_bucket(tmp_path) as (own, server):
        artifact = asyncio.run(store_and_exceed(own, server, tmp_path / "model"))
        assert artifact.sha256 == hashlib.sha256(data).hexdigest()
        signed = server.adapter(prefix="").sign_get(artifact.key, 60)
        buffer = bytearray(len(data))
        with open_download(
            signed, expected_bytes=len(data), allowed_hosts={server.host}, timeout_seconds=10
        ) as download:
            download.readinto(memoryview(buffer))
        assert buffer == data
    log = (tmp_path / "ledger.log").read_text()
    assert "X-Amz-" not in log
    assert "StringToSign" not in log
