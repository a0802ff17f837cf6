"""What the demonstration can be told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.local.foundations import LedgerKind
from services.local.settings import DemoSettings


@pytest.mark.parametrize(("ledger", "hospitals"), [("embedded", 4), ("fabric", 3)])
def test_how_many_hospitals_take_part_depends_on_the_ledger(ledger: LedgerKind, hospitals: int) -> None:
    settings = DemoSettings(ledger=ledger)
    assert settings.hospitals == hospitals
    assert settings.data_of(0)["silos"] == hospitals


def test_who_asks_for_a_number_of_hospitals_gets_it_on_either_ledger() -> None:
    assert DemoSettings(ledger="fabric", silos=5).hospitals == DemoSettings(silos=5).hospitals == 5


@pytest.mark.parametrize("silos", [0, 17])
def test_a_number_of_hospitals_that_cannot_be_is_refused(silos: int) -> None:
    with pytest.raises(ValidationError):
        DemoSettings(silos=silos)


def test_a_ledger_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="embedded"):
        DemoSettings.model_validate({"ledger": "postgres"})
