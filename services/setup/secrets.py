"""Where Secrets are kept: the port, and what is told when it cannot be used. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Content = Mapping[str, bytes]
"""Of a Secret: key -> bytes."""


class SecretsUnavailable(Exception):
    """Secrets cannot be read or made. The message says why, and what to do."""


class Secrets(Protocol):
    """The Secrets of one namespace. None is ever changed or removed through this."""

    def read(self, name: str) -> Content | None:
        """What a Secret holds, or None when there is none of this name.

        Raises:
            SecretsUnavailable: it cannot be read.
        """
        ...

    def create(self, name: str, content: Content) -> bool:
        """Make a Secret, unless there is one of this name.

        Returns:
            Whether it was made.

        Raises:
            SecretsUnavailable: it cannot be made.
        """
        ...
