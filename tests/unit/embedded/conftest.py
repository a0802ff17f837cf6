"""A ledger of one organisation, and its clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from consilo.embedded.file import LedgerFile
from consilo.embedded.ledger import EmbeddedLedger
from tests.unit.embedded.altering import BLOCKS, PER_BLOCK
from tests.unit.embedded.parties import (
    PARTY,
    Clock,
    commit,
    fill,
    genesis_of,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    EmbeddedLedger.create(tmp_path / "ledger.db", genesis_of(PARTY))
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[EmbeddedLedger]:
    with EmbeddedLedger.open(path, clock=clock) as opened:
        commit(opened, PARTY.registration())
        yield opened


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "ledger.db"
    fill(path, PARTY, BLOCKS, PER_BLOCK)
    return path


@pytest.fixture(scope="package")
def bodies(original: Path) -> list[bytes]:
    with LedgerFile(original) as file:
        return list(file.blocks())
