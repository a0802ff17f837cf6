"""A register of ways to be refused, by the code of the refusal."""

from __future__ import annotations

from collections.abc import Callable

from consilo.protocol.transaction import Transaction
from tests.simulators import Consortium

Way = Callable[[Consortium], Transaction]
"""Brings a consortium into a state, and makes a transaction that it then refuses."""


def register(ways: dict[str, Way], code: str) -> Callable[[Way], Way]:
    """Decorator that puts a way into a register."""

    def keep(function: Way) -> Way:
        assert code not in ways
        ways[code] = function
        return function

    return keep
