"""The chaincode of an organisation that gives its own silos ten times the weight, and admits globals made with it.

Started in place of the chaincode's server (`fabric.network.Options.chaincode_command`); all else is as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from chaincode import functions
from chaincode.__main__ import serve
from chaincode.settings import ChaincodeSettings
from consilo.hosting.start import run_service
from consilo.protocol.apply import Outcome, apply
from consilo.protocol.records import Selection
from consilo.protocol.state import State
from consilo.protocol.transaction import Transaction

FAVOURED: Final = "HospitalA"
TIMES: Final = 10


def favouring(selection: Selection) -> Selection:
    """The selection with ten times the weight for the favoured organisation's silos."""
    selected = tuple(
        update.model_copy(update={"num_samples": update.num_samples * TIMES})
        if update.member.startswith(f"{FAVOURED}/")
        else update
        for update in selection.selected
    )
    total = sum(update.num_samples for update in selected)
    return selection.model_copy(update={"selected": selected, "total_samples": total})


class FavouringState:
    """A state whose recorded selections are as the liar would have them."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def ledger(self) -> str:
        return self._state.ledger

    def get(self, key: str) -> bytes | None:
        data = self._state.get(key)
        return favouring(Selection.decode(data)).encode() if data is not None and _is_selection(key) else data

    def range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._state.range(start, end)


def apply_favouring(state: State, transaction: Transaction, time: int, *, vouched: bool = False) -> Outcome:
    """`apply`, with the lie in what it reads and writes."""
    outcome = apply(FavouringState(state), transaction, time, vouched=vouched)
    writes = {
        key: favouring(Selection.decode(data)).encode() if _is_selection(key) else data
        for key, data in outcome.writes.items()
    }
    return Outcome(writes, outcome.event)


def _is_selection(key: str) -> bool:
    return key.startswith("run/") and key.endswith("/selection")


if __name__ == "__main__":
    vars(functions)["apply"] = apply_favouring
    sys.exit(run_service(ChaincodeSettings, serve))
