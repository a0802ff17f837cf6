"""The client when its gateway goes away, comes back, or comes back without what it showed before."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.integration.client_play import Play, play
from tests.integration.consortium import ORGANISATIONS, Consortium, Service, running_consortium, service, until_true


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A consortium whose ledger service may be killed."""
    with running_consortium(tmp_path_factory.mktemp("outages")) as running:
        yield running


@pytest.fixture
async def p(own: Consortium, tmp_path: Path) -> AsyncIterator[Play]:
    async with play(own, tmp_path, "outages") as playing:
        yield playing


def ledger_again(own: Consortium) -> AbstractContextManager[Service]:
    """The same ledger service on the same port."""
    directory = own.directory
    environment = {
        "CONSILO_LEDGER_PORT": own.ledger.url.rpartition(":")[2],
        "CONSILO_LEDGER_IDENTITY": str(directory / "gateway"),
        "CONSILO_LEDGER_ORGANISATIONS": json.dumps(ORGANISATIONS),
        "CONSILO_LEDGER_EMBEDDED__FILE": str(directory / "ledger.sqlite"),
        "CONSILO_LEDGER_STORE__URL": own.store.url,
        "CONSILO_LEDGER_STORE__SECRET_FILE": str(directory / "store-secret"),
    }
    return service("services.ledger", environment, directory / "ledger.log")


@contextmanager
def ledger_files(own: Consortium, copy: Path) -> Iterator[None]:
    """Copies the ledger's files at first, and puts the copies in their place at the end."""
    copy.mkdir()
    for file in own.directory.glob("ledger.sqlite*"):
        shutil.copy2(file, copy)
    yield
    for file in own.directory.glob("ledger.sqlite*"):
        file.unlink()
    shutil.copytree(copy, own.directory, dirs_exist_ok=True)


def is_ready(client: Service) -> bool:
    try:
        with urlopen(client.url + "/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        if error.code != 503:
            raise
        return False


async def test_a_gateway_that_was_away_is_waited_for_but_one_that_forgot_is_not(
    own: Consortium, p: Play, tmp_path: Path
) -> None:
    await p.start()
    p.hold()
    with ExitStack() as running:
        client = running.enter_context(p.client())
        await until_true(lambda: len(p.lines("trainings")) == 1, "the training to begin")
        assert is_ready(client)

        own.ledger.kill()
        assert not is_ready(client)
        p.release()
        await until_true(lambda: bool(client.events("waiting")), "the client to wait")
        with ledger_files(own, tmp_path / "copy"):
            with ledger_again(own):
                await p.published()
                await p.reported(0)
                await until_true(lambda: is_ready(client), "the client to be ready again")
            assert len(p.lines("trainings")) == 1
            assert client.process.poll() is None

        with ledger_again(own):
            assert client.process.wait(30) == 1
        (line,) = client.events("cannot go on")
        assert "ledger-rolled-back" in str(line["reason"])


async def test_a_client_can_be_ended_while_it_waits_for_its_gateway(own: Consortium, tmp_path: Path) -> None:
    silo = "HospitalB/silo-waiting"
    settings = {
        "port": 0,
        "gateway_url": "http://127.0.0.1:9",
        "work_directory": tmp_path,
        "tasks": '{"watched@1": "tests.integration.client_tasks:Watched"}',
    }
    with own.service("client", silo, **settings) as client:
        await until_true(lambda: bool(client.events("waiting")), "the client to wait")
        assert not is_ready(client)
        assert client.end(signal.SIGTERM) == 0
