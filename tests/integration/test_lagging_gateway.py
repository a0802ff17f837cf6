"""Two gateways of one ledger, of which the owner's sees it later than the reader's: its refusal is no last word.

The one that lags is a ledger service of its own, on a copy of the ledger's file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from consilo.api.errors import GatewayRefused, GatewayUnavailable
from consilo.api.gateway import Gateway
from consilo.api.grants import ask_for_grant
from consilo.api.models import DownloadRequest
from consilo.api.party import Party
from consilo.protocol.access import reference_of
from consilo.protocol.bodies import PublishGlobal, RecordAccess
from tests.integration.consortium import API_SETTINGS, Consortium, service
from tests.integration.trial import Trial, started

READER = "HospitalC/viewer"


def copy_ledger(consortium: Consortium, path: Path) -> Path:
    """The ledger's file, as it stands now."""
    with (
        closing(sqlite3.connect(consortium.directory / "ledger.sqlite")) as source,
        closing(sqlite3.connect(path)) as copy,
    ):
        source.backup(copy)
    return path


@asynccontextmanager
async def gateway_on(consortium: Consortium, file: Path, reader: Party) -> AsyncIterator[Gateway]:
    """HospitalA's gateway on a copy of the ledger, as a reader sees it."""
    environment = {
        "CONSILO_LEDGER_PORT": "0",
        "CONSILO_LEDGER_IDENTITY": str(consortium.directory / "gateway"),
        "CONSILO_LEDGER_ORGANISATIONS": json.dumps(["HospitalA"]),
        "CONSILO_LEDGER_EMBEDDED__FILE": str(file),
        "CONSILO_LEDGER_STORE__URL": consortium.store.url,
        "CONSILO_LEDGER_STORE__SECRET_FILE": str(consortium.directory / "store-secret"),
    }
    with service("services.ledger", environment, file.with_suffix(".log")) as running:
        async with Gateway.http_client(API_SETTINGS) as http:
            yield Gateway(running.url, audience="HospitalA", identity=reader.identity, http=http, settings=API_SETTINGS)


async def global_of(trial: Trial) -> DownloadRequest:
    """The run's first global, published."""
    aggregator = await trial.party("HospitalA/aggregator")
    specification = trial.specification
    await aggregator.metadata_publish(
        PublishGlobal(
            run=trial.run,
            round=0,
            attempt=0,
            artifact=specification.initial,
            inputs=(),
            strategy=specification.strategy,
        )
    )
    return DownloadRequest(run=trial.run, artifact=reference_of(await trial.until_global(0)))


async def test_a_gateway_that_has_not_seen_the_record_yet_is_waited_for(consortium: Consortium, tmp_path: Path) -> None:
    async with started(consortium, tmp_path) as trial, consortium.party(READER) as reader:
        request = await global_of(trial)
        before = copy_ledger(consortium, tmp_path / "before.sqlite")
        await reader.metadata_publish(RecordAccess(run=trial.run, artifacts=(request.artifact,)))
        after = copy_ledger(consortium, tmp_path / "after.sqlite")
        async with gateway_on(consortium, before, reader) as gateway:
            with pytest.raises(GatewayUnavailable, match="has not come to block"):
                await ask_for_grant(gateway, request, own=reader.gateway)
        async with gateway_on(consortium, after, reader) as gateway:
            grant = await ask_for_grant(gateway, request, own=reader.gateway)
            assert grant.organisation == "HospitalA"


async def test_a_gateway_that_does_not_know_the_run_yet_is_waited_for(consortium: Consortium, tmp_path: Path) -> None:
    before = copy_ledger(consortium, tmp_path / "before.sqlite")
    async with started(consortium, tmp_path) as trial, consortium.party(READER) as reader:
        request = await global_of(trial)
        async with gateway_on(consortium, before, reader) as gateway:
            with pytest.raises(GatewayUnavailable):
                await ask_for_grant(gateway, request, own=reader.gateway)


async def test_a_gateway_that_has_seen_everything_and_refuses_is_believed(
    consortium: Consortium, tmp_path: Path
) -> None:
    async with started(consortium, tmp_path) as trial, consortium.party(READER) as reader:
        request = await global_of(trial)
        level = copy_ledger(consortium, tmp_path / "level.sqlite")
        async with gateway_on(consortium, level, reader) as gateway:
            with pytest.raises(GatewayRefused) as refusal:
                await ask_for_grant(gateway, request, own=reader.gateway)
        assert refusal.value.code == "access-not-recorded"
