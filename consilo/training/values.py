"""Reads a task's parameters and data descriptions, with errors that say what to do. Pure; no I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from consilo.training.errors import TaskValueInvalid

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_SHOWN_CHARACTERS: Final = 60


class Values:
    """Reads JSON values by name; `finish` then refuses the names that nobody asked for.

    Integers may be JSON integers or strings of digits, other numbers strings such as `"0.1"` (as in a specification),
    so values given on a command line as `name=value` are read the same way.

    All readers raise `TaskValueInvalid`.
    """

    def __init__(self, values: Mapping[str, Any], kind: str = "parameter") -> None:
        self._values = values
        self._kind = kind
        self._known: set[str] = set()

    def integer(self, name: str, default: int | None = None, *, minimum: int = 0, maximum: int = 2**53) -> int:
        """The integer `name`, in [minimum, maximum]; it must be given when there is no default."""
        value = self._get(name, default)
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, value, "an integer")
        if not minimum <= value <= maximum:
            raise self._wrong(name, value, f"between {minimum} and {maximum}")
        return value

    def real(
        self, name: str, default: float | None = None, *, minimum: float = 0.0, maximum: float = math.inf
    ) -> float:
        """The finite number `name`, in [minimum, maximum]; it must be given when there is no default."""
        value = self._get(name, default)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._wrong(name, value, "a finite number")
        if not minimum <= number <= maximum:
            raise self._wrong(name, value, f"between {minimum} and {maximum}")
        return number

    def text(self, name: str, default: str | None = None) -> str:
        """The string `name`; it must be given when there is no default."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a string")
        return value

    def optional_integer(self, name: str, *, minimum: int = 0, maximum: int = 2**53) -> int | None:
        """The integer `name`, or None when it is not given or null."""
        self._known.add(name)
        if self._values.get(name) is None:
            return None
        return self.integer(name, minimum=minimum, maximum=maximum)

    def rest(self) -> dict[str, Any]:
        """What has not been read so far."""
        return {name: value for name, value in self._values.items() if name not in self._known}

    def finish(self) -> None:
        """Refuse names that were not read: a misspelt one must not silently mean its default."""
        unknown = sorted(set(self._values) - self._known)
        if unknown:
            known = ", ".join(sorted(self._known)) or "none"
            raise TaskValueInvalid(f"unknown {self._kind} {unknown[0][:_SHOWN_CHARACTERS]!r}; known: {known}")

    def _get(self, name: str, default: Any) -> Any:
        self._known.add(name)
        value = self._values.get(name, default)
        if value is None:
            raise TaskValueInvalid(f"{self._kind} {name!r} must be given")
        return value

    def _wrong(self, name: str, value: object, expected: str) -> TaskValueInvalid:
        return TaskValueInvalid(f"{self._kind} {name!r} is {str(value)[:_SHOWN_CHARACTERS]!r}, but must be {expected}")
